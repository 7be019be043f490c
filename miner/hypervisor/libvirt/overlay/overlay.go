// Package overlay writes empty encrypted qcow2 overlays: a new disk that reads
// as its base image, and keeps what is written to it under LUKS.
//
// qemu-img can do the same, but first measures for seconds of CPU time how
// often it may hash the passphrase, even when told to hash it briefly, and
// fails on busy hosts when the measurement does. VMs start with this.
package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The parts of a qcow2 file, version 3, with the usual 64 KiB clusters and 16
// bit reference counts. (QEMU, docs/interop/qcow2.txt)
const (
	clusterBits  = 16
	clusterBytes = 1 << clusterBits
	tableEntry   = 8
	perL2        = clusterBytes / tableEntry * clusterBytes // bytes that one L1 entry covers

	cryptLUKS     = 2
	refcountOrder = 4

	extBackingFormat = 0xE2792ACA
	extCrypt         = 0x0537BE77

	// A cluster each for the header, the table of reference count blocks and
	// the one block, which covers far more clusters than a new file has.
	headerAt   = 0
	refTableAt = 1 * clusterBytes
	refBlockAt = 2 * clusterBytes
	l1At       = 3 * clusterBytes
)

// magic begins every qcow2 file.
var magic = [4]byte{'Q', 'F', 'I', 0xfb} //nolint:gochecknoglobals // constant

// maxBasePath is the format's bound of a base image's path, in bytes.
const maxBasePath = 1023

// MaxBytes is the largest virtual size.
const MaxBytes = 1 << 50

// Spec says what an overlay is to be.
type Spec struct {
	Bytes      uint64 // virtual size, a multiple of 512 up to MaxBytes
	Base       string // path of the base image, at most 1023 bytes
	BaseFormat string // of the base image: "raw" or "qcow2"
	Passphrase []byte
}

type header struct {
	Magic                           [4]byte
	Version                         uint32
	BackingAt                       uint64
	BackingBytes, ClusterBits       uint32
	Bytes                           uint64
	Crypt, L1Entries                uint32
	L1At, RefTableAt                uint64
	RefTableClusters, Snapshots     uint32
	SnapshotsAt                     uint64
	Incompatible, Compat, Autoclear uint64
	RefcountOrder, HeaderBytes      uint32
	CompressionType                 [8]byte // zlib, and padding
}

// Create writes a new overlay to path, which must not exist, readable by its
// owner alone, and brings it to the disk. On failure nothing is left.
func Create(path string, spec Spec) (err error) {
	if spec.Bytes == 0 || spec.Bytes%512 != 0 || spec.Bytes > MaxBytes {
		return fmt.Errorf("overlay of %d bytes", spec.Bytes)
	}
	if len(spec.Base) == 0 || len(spec.Base) > maxBasePath {
		return fmt.Errorf("base path of %d bytes", len(spec.Base))
	}
	luks, err := newLUKS(spec.Passphrase)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	return errors.Join(write(f, spec, luks), f.Sync(), f.Close())
}

func write(f *os.File, spec Spec, luks []byte) error {
	l1Entries := (spec.Bytes + perL2 - 1) / perL2
	luksAt := l1At + roundUp(l1Entries*tableEntry)
	end := luksAt + roundUp(luksBytes)

	first, err := head(spec, l1Entries, luksAt)
	if err != nil {
		return err
	}
	counts := make([]byte, 0, 2*end/clusterBytes)
	for range end / clusterBytes {
		counts = binary.BigEndian.AppendUint16(counts, 1)
	}
	for _, part := range []struct {
		at   uint64
		data []byte
	}{
		{headerAt, first},
		{refTableAt, binary.BigEndian.AppendUint64(nil, refBlockAt)},
		{refBlockAt, counts},
		{luksAt, luks},
	} {
		if _, err := f.WriteAt(part.data, int64(part.at)); err != nil { //nolint:gosec // below 2^50
			return err
		}
	}
	return f.Truncate(int64(end)) //nolint:gosec // below 2^50
}

func roundUp(n uint64) uint64 { return (n + clusterBytes - 1) / clusterBytes * clusterBytes }

// head is the first cluster: header, extensions, the base image's path.
func head(spec Spec, l1Entries, luksAt uint64) ([]byte, error) {
	h := header{
		Magic: magic, Version: 3, ClusterBits: clusterBits, Bytes: spec.Bytes,
		BackingBytes: uint32(len(spec.Base)), Crypt: cryptLUKS, L1Entries: uint32(l1Entries), //nolint:gosec // both bounded by Create
		L1At: l1At, RefTableAt: refTableAt, RefTableClusters: 1,
		RefcountOrder: refcountOrder,
	}
	h.HeaderBytes = uint32(binary.Size(h)) //nolint:gosec // 112
	extensions := extension(extBackingFormat, []byte(spec.BaseFormat))
	where := binary.BigEndian.AppendUint64(nil, luksAt)
	extensions = append(extensions, extension(extCrypt, binary.BigEndian.AppendUint64(where, luksBytes))...)
	extensions = append(extensions, extension(0, nil)...) // the end
	h.BackingAt = uint64(h.HeaderBytes) + uint64(len(extensions))

	out, err := binary.Append(nil, binary.BigEndian, &h)
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	out = append(append(out, extensions...), spec.Base...)
	if len(out) > clusterBytes {
		return nil, io.ErrShortBuffer
	}
	return out, nil
}

func extension(kind uint32, data []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, kind)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data))) //nolint:gosec // small
	out = append(out, data...)
	return append(out, make([]byte, (8-len(data)%8)%8)...)
}

// Base returns the path of the image that the overlay at path is made over, "" for none. It needs no key and disturbs no
// process that has the overlay open.
func Base(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	var h struct {
		Magic        [4]byte
		Version      uint32
		BackingAt    uint64
		BackingBytes uint32
	}
	if err := binary.Read(f, binary.BigEndian, &h); err != nil {
		return "", fmt.Errorf("header of %s: %w", path, err)
	}
	switch {
	case h.Magic != magic:
		return "", fmt.Errorf("%s is no qcow2 file", path)
	case h.BackingAt == 0:
		return "", nil
	case h.BackingAt > clusterBytes || h.BackingBytes > maxBasePath:
		return "", fmt.Errorf("%s names its base beyond the bounds of its header", path)
	}
	base := make([]byte, h.BackingBytes)
	if _, err := f.ReadAt(base, int64(h.BackingAt)); err != nil { //nolint:gosec // bounded above
		return "", fmt.Errorf("base of %s: %w", path, err)
	}
	return string(base), nil
}
