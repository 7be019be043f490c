package libvirt

import (
	"io"
	"path/filepath"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

func newReader(s string) io.Reader { return strings.NewReader(s) }

func (d *Driver) consoleSocket(id vm.ID) string {
	return filepath.Join(d.socketDir(id), "console")
}

func (d *Driver) channelSocket(id vm.ID) string {
	return filepath.Join(d.socketDir(id), "channel")
}

// devices are all that a VM has: what is not here a guest cannot attack.
func (d *Driver) devices(m hypervisor.Definition) *libvirtxml.DomainDeviceList {
	devices := &libvirtxml.DomainDeviceList{
		Emulator:   "/usr/bin/" + qemuSystem,
		Disks:      []libvirtxml.DomainDisk{d.rootDisk(m)},
		MemBalloon: &libvirtxml.DomainMemBalloon{Model: "none"},
		Controllers: []libvirtxml.DomainController{
			{Type: "usb", Model: "none"},
			{Type: "virtio-serial"},
		},
		Serials: []libvirtxml.DomainSerial{{
			Source: listen(d.consoleSocket(m.ID)),
			Log:    &libvirtxml.DomainChardevLog{File: d.consoleLog(m.ID), Append: "on"},
			Target: &libvirtxml.DomainSerialTarget{Type: "isa-serial"},
		}},
		Channels: []libvirtxml.DomainChannel{{
			Source: listen(d.channelSocket(m.ID)),
			Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: hypervisor.ChannelName}},
		}},
		RNGs: []libvirtxml.DomainRNG{{
			Model:   "virtio",
			Backend: &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}},
		}},
		Videos: []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: "none"}}},
	}
	// Discs are virtio disks too: cloud kernels have few other drivers. Guests
	// find them by their label, not by their letter.
	for i, disc := range []string{m.Seed, m.AgentISO} {
		if disc != "" {
			devices.Disks = append(devices.Disks, readOnlyDisc(disc, "vd"+string(rune('y'+i)), disc == m.AgentISO))
		}
	}
	if m.Tap != "" {
		devices.Interfaces = []libvirtxml.DomainInterface{{
			MAC:    &libvirtxml.DomainInterfaceMAC{Address: m.MAC},
			Source: &libvirtxml.DomainInterfaceSource{Ethernet: &libvirtxml.DomainInterfaceSourceEthernet{}},
			// The tap is made, filtered, shaped and removed by package network.
			Target: &libvirtxml.DomainInterfaceTarget{Dev: m.Tap, Managed: "no"},
			Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
			ROM:    &libvirtxml.DomainROM{Enabled: "no"}, // nothing boots from the network
		}}
	}
	return devices
}

func listen(path string) *libvirtxml.DomainChardevSource {
	return &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind", Path: path}}
}

// rootDisk is the encrypted overlay over the plain base image. Without
// engine='qemu' libvirt would set up the encryption twice.
func (d *Driver) rootDisk(m hypervisor.Definition) libvirtxml.DomainDisk {
	tune := &libvirtxml.DomainDiskIOTune{TotalBytesSec: m.Limits.DiskBytesPerSec, TotalIopsSec: m.Limits.IOPS}
	if *tune == (libvirtxml.DomainDiskIOTune{}) {
		tune = nil
	}
	return libvirtxml.DomainDisk{
		Device: "disk",
		Driver: &libvirtxml.DomainDiskDriver{
			Name: "qemu", Type: hypervisor.FormatQcow2, Discard: "unmap",
			// A full host pauses the guest; it does not see broken disks.
			ErrorPolicy: "enospace", RErrorPolicy: "report",
		},
		Source: &libvirtxml.DomainDiskSource{
			File: &libvirtxml.DomainDiskSourceFile{File: d.root(m.ID)},
			Encryption: &libvirtxml.DomainDiskEncryption{
				Format: "luks", Engine: "qemu",
				Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: secretUUID(m.ID)}},
			},
		},
		BackingStore: &libvirtxml.DomainDiskBackingStore{
			Format:       &libvirtxml.DomainDiskFormat{Type: m.BaseFormat},
			Source:       shared(m.BaseImage),
			BackingStore: &libvirtxml.DomainDiskBackingStore{}, // the chain ends here, whatever the file says
		},
		Target: &libvirtxml.DomainDiskTarget{Dev: rootTarget, Bus: "virtio"},
		Boot:   &libvirtxml.DomainDeviceBoot{Order: 1},
		IOTune: tune,
		Serial: "hippius-root",
	}
}

// shared is a file many VMs read: its owner is not to change with each.
func shared(path string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{
		File:     path,
		SecLabel: []libvirtxml.DomainDeviceSecLabel{{Model: "dac", Relabel: "no"}},
	}}
}

func readOnlyDisc(path, target string, common bool) libvirtxml.DomainDisk {
	source := &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
	if common {
		source = shared(path)
	}
	return libvirtxml.DomainDisk{
		Device:   "disk",
		Driver:   &libvirtxml.DomainDiskDriver{Name: "qemu", Type: hypervisor.FormatRaw},
		Source:   source,
		Target:   &libvirtxml.DomainDiskTarget{Dev: target, Bus: "virtio"},
		ReadOnly: &libvirtxml.DomainDiskReadOnly{},
	}
}
