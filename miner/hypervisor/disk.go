package hypervisor

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// RootDisk is the name of the disk that a VM boots from.
const RootDisk = "root"

// DiskID names a disk on this host.
type DiskID struct {
	VM vm.ID
	// Name among the VM's disks: 1 to 32 of a-z, 0-9 and inner '-'.
	Name string
}

// Root is the disk that a VM boots from.
func Root(id vm.ID) DiskID { return DiskID{VM: id, Name: RootDisk} }

// String gives both, as in a sentence.
func (d DiskID) String() string { return fmt.Sprintf("disk %s of vm %s", d.Name, d.VM) }

// Validate reports an id that is none, wrapping ErrInvalid: it ends up in paths.
func (d DiskID) Validate() error {
	if err := CheckID(d.VM); err != nil {
		return err
	}
	if len(d.Name) > maxDiskName || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(d.Name) {
		return fmt.Errorf("%w: vm %s: disk name %.40q", ErrInvalid, d.VM, d.Name)
	}
	return nil
}

const maxDiskName = 32

// Disk is everything needed to make one.
type Disk struct {
	DiskID
	Bytes      uint64 // virtual size; at least the base image's, a multiple of 512
	Base       string // absolute path of the cached base image; never written
	BaseFormat string // FormatQcow2 or FormatRaw
	Key        DiskKey
}

// Validate reports the first thing that makes d unusable, wrapping ErrInvalid.
func (d Disk) Validate() error {
	if err := d.DiskID.Validate(); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	if len(d.Key) != DiskKeyBytes {
		return fmt.Errorf("%w: %s: key of %d bytes", ErrInvalid, d.DiskID, len(d.Key))
	}
	return nil
}

// check is Validate without the key, which a definition has not.
func (d Disk) check() error {
	switch {
	case d.Bytes == 0 || d.Bytes > 1<<50 || d.Bytes%512 != 0:
		return fmt.Errorf("%w: %s: %d bytes, want a multiple of 512 up to 2^50", ErrInvalid, d.DiskID, d.Bytes)
	case d.BaseFormat != FormatQcow2 && d.BaseFormat != FormatRaw:
		return fmt.Errorf("%w: %s: base format %.20q, want qcow2 or raw", ErrInvalid, d.DiskID, d.BaseFormat)
	case !soundPath(d.Base):
		return fmt.Errorf("%w: %s: base image path %.100q is not absolute and printable", ErrInvalid, d.DiskID, d.Base)
	}
	return nil
}

func soundPath(p string) bool {
	return filepath.IsAbs(p) && filepath.Clean(p) == p && len(p) <= 1024 &&
		!strings.ContainsFunc(p, func(r rune) bool { return !text.Printable(r) })
}

// DiskKeyBytes is the length of a disk key.
const DiskKeyBytes = 32

// DiskKey is the material a VM's disk is encrypted with: DiskKeyBytes
// random bytes. It prints and marshals as a placeholder, never as itself.
type DiskKey []byte

const redacted = "[disk key]"

// Passphrase is what the disk's key slot is opened with: base64 of the key,
// because hypervisors insist on UTF-8.
func (k DiskKey) Passphrase() []byte {
	return base64.StdEncoding.AppendEncode(nil, k)
}

// Format keeps the key out of every verb of fmt.
func (k DiskKey) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, redacted) }

// MarshalText keeps the key out of JSON and every encoder that asks for text.
func (k DiskKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps the key out of the log.
func (k DiskKey) LogValue() slog.Value { return slog.StringValue(redacted) }
