// Package image keeps the operating system images that VMs of this miner boot
// from: each downloaded once, checked against its SHA-256 before anyone sees
// it, never written again, and removed when nobody needs it and room is short.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Image names an image by its content.
type Image struct {
	// Name for messages.
	Name string
	// URLs are tried in order.
	URLs []string
	// SHA256 of the file, 32 bytes: what it is kept by.
	SHA256 []byte
	// Size of the file in bytes.
	Size uint64
}

// MaxSize bounds an image's file, in bytes.
const MaxSize = 1 << 40

func (im Image) check() error {
	switch {
	case len(im.SHA256) != sha256.Size:
		return fmt.Errorf("image %s: checksum of %d bytes, want %d", im.Name, len(im.SHA256), sha256.Size)
	case im.Size == 0 || im.Size > MaxSize:
		return fmt.Errorf("image %s: size of %d bytes, want 1 to %d", im.Name, im.Size, uint64(MaxSize))
	case len(im.URLs) == 0:
		return fmt.Errorf("image %s: %w: no URL is known", im.Name, ErrUnavailable)
	}
	return nil
}

// SumOf gives the SHA-256, in hex, of the image at a path that Get returned.
func SumOf(path string) string { return strings.TrimSuffix(filepath.Base(path), suffix) }

func (im Image) sum() string { return hex.EncodeToString(im.SHA256) }

// Errors a caller may act upon.
var (
	// ErrUnavailable: no URL gave the image; trying later may help.
	ErrUnavailable = errors.New("image cannot be fetched")
	// ErrNoSpace: the cache's disk has no room for it.
	ErrNoSpace = errors.New("no space left for the image")
	// ErrChecksum is what a *ChecksumError is.
	ErrChecksum = errors.New("image has another checksum")
	// ErrClosed: the cache is closed.
	ErrClosed = errors.New("image cache is closed")
)

// ChecksumError says that what was fetched is not the image asked for.
type ChecksumError struct {
	Name string
	// Want and Got are SHA-256 in hex.
	Want, Got string
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("image %s has SHA-256 %s, want %s", e.Name, e.Got, e.Want)
}

// Is makes it an ErrChecksum.
func (e *ChecksumError) Is(target error) bool { return target == ErrChecksum }
