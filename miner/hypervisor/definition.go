package hypervisor

import (
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// CheckID reports an id that is none, wrapping ErrInvalid.
func CheckID(id vm.ID) error {
	if _, err := vm.ParseID(string(id)); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Firmware says how the image boots.
type Firmware string

// The firmwares a driver knows. The zero value means BIOS.
const (
	FirmwareBIOS Firmware = "bios"
	FirmwareEFI  Firmware = "efi"
)

// Base image formats.
const (
	FormatQcow2 = "qcow2"
	FormatRaw   = "raw"
)

// Bounds of a definition. More vCPUs would need an emulated IOMMU; a faster disk's cap is refused by QEMU.
const (
	MaxVCPUs           = 255
	MinMemoryMiB       = 16
	MaxMemoryMiB       = 1 << 20
	MaxIOPS            = 1_000_000_000_000_000
	MaxDiskBytesPerSec = 1_000_000_000_000_000
)

// Limits caps what a VM may take of its host. A zero field is no cap.
type Limits struct {
	CPUPercent      uint32 // of one host core, for each vCPU; 100 is one whole core
	IOPS            uint64 // disk requests a second, reads and writes together; up to MaxIOPS
	DiskBytesPerSec uint64 // reads and writes together; up to MaxDiskBytesPerSec
	// NetworkBitsPerSec is recorded with the VM so that everything it was
	// sold is in one place; the tap enforces it (package network).
	NetworkBitsPerSec uint64
}

// Definition is everything needed to define a VM and to make its root disk.
type Definition struct {
	ID          vm.ID
	InstanceSeq uint32 // rises each time the VM moves to another host; starts at 1
	Generation  uint64 // of the chain's spec this was made from
	Name        string // the tenant's name for it, for people; at most 64 bytes

	VCPUs     uint32 // 1..MaxVCPUs
	MemoryMiB uint64 // MinMemoryMiB..MaxMemoryMiB
	DiskBytes uint64 // virtual size; at least the base image's, a multiple of 512

	BaseImage  string // absolute path of the cached base image; never written
	BaseFormat string // FormatQcow2 or FormatRaw
	Firmware   Firmware

	DiskKey DiskKey `json:"-"` // for Root only; Start is handed its own

	Seed     string // absolute path of the VM's CIDATA ISO; "" for none
	AgentISO string // absolute path of the shared read-only ISO; "" for none

	Tap string // network interface on the host; "" for no network
	MAC string // of the guest's end; set if and only if Tap is

	Limits Limits
}

// Validate reports the first thing that makes m unusable, wrapping ErrInvalid.
// It does not look at the disk: whether the files exist is found out later.
func (m Definition) Validate() error {
	if err := CheckID(m.ID); err != nil {
		return err
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: vm %s: %s", ErrInvalid, m.ID, fmt.Sprintf(format, args...))
	}
	switch {
	case m.InstanceSeq == 0:
		return bad("instance_seq is 0")
	case len(m.Name) > 64 || strings.ContainsFunc(m.Name, func(r rune) bool { return !text.Printable(r) }):
		return bad("name is over 64 bytes or holds characters that cannot be printed")
	case m.VCPUs < 1 || m.VCPUs > MaxVCPUs:
		return bad("%d vcpus, want 1..%d", m.VCPUs, MaxVCPUs)
	case m.MemoryMiB < MinMemoryMiB || m.MemoryMiB > MaxMemoryMiB:
		return bad("%d MiB of memory, want %d..%d", m.MemoryMiB, MinMemoryMiB, MaxMemoryMiB)
	case m.Limits.IOPS > MaxIOPS:
		return bad("%d disk requests a second, want up to %d", m.Limits.IOPS, uint64(MaxIOPS))
	case m.Limits.DiskBytesPerSec > MaxDiskBytesPerSec:
		return bad("%d bytes of disk a second, want up to %d", m.Limits.DiskBytesPerSec, uint64(MaxDiskBytesPerSec))
	case m.Firmware != "" && m.Firmware != FirmwareBIOS && m.Firmware != FirmwareEFI:
		return bad("firmware %.20q, want bios or efi", m.Firmware)
	}
	for _, p := range []struct{ what, path string }{{"seed", m.Seed}, {"agent iso", m.AgentISO}} {
		if p.path != "" && !soundPath(p.path) {
			return bad("%s path %.100q is not absolute and printable", p.what, p.path)
		}
	}
	if err := m.Root().check(); err != nil {
		return err
	}
	return m.validateNetwork(bad)
}

// Root is the disk that m boots from.
func (m Definition) Root() Disk {
	return Disk{DiskID: Root(m.ID), Bytes: m.DiskBytes, Base: m.BaseImage, BaseFormat: m.BaseFormat, Key: m.DiskKey}
}

// maxIfName is IFNAMSIZ less its terminating zero.
const maxIfName = 15

func (m Definition) validateNetwork(bad func(string, ...any) error) error {
	if (m.Tap == "") != (m.MAC == "") {
		return bad("tap and mac come together")
	}
	if m.Tap == "" {
		return nil
	}
	// A "%" would have the kernel make up a name.
	if len(m.Tap) > maxIfName || !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]*$`).MatchString(m.Tap) {
		return bad("tap name %.40q", m.Tap)
	}
	mac, err := net.ParseMAC(m.MAC)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return bad("mac %.40q is not a unicast ethernet address", m.MAC)
	}
	return nil
}
