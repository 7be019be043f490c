package libvirt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"

	"libvirt.org/go/libvirtxml"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// namespace of our metadata in domains.
const namespace = "https://hippius.network/xmlns/vm/1"

// label is what a domain's metadata says about it.
type label struct {
	XMLName     xml.Name `xml:"https://hippius.network/xmlns/vm/1 vm"`
	ID          vm.ID    `xml:"id,attr"`
	Tag         string   `xml:"tag,attr"`
	InstanceSeq uint32   `xml:"instance_seq,attr"`
	Generation  uint64   `xml:"generation,attr"`
	Name        string   `xml:"name,attr"`
	NetworkBits uint64   `xml:"network_bits_per_second,attr"`
}

// readLabel finds the label in a domain's metadata; ok is false on the domains
// of others.
func readLabel(d *libvirtxml.Domain, tag string) (l label, ok bool) {
	if d.Metadata == nil {
		return l, false
	}
	dec := xml.NewDecoder(newReader(d.Metadata.XML))
	for {
		token, err := dec.Token()
		if err != nil {
			return l, false
		}
		start, isStart := token.(xml.StartElement)
		if !isStart || start.Name.Space != namespace || start.Name.Local != "vm" {
			continue
		}
		return l, dec.DecodeElement(&l, &start) == nil && l.Tag == tag
	}
}

// uuidText gives a valid id in the 8-4-4-4-12 form.
func uuidText(id vm.ID) string {
	s := string(id)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// secretUUID names the secret of a VM's disk. It differs from the
// VM's own, which is the domain's.
func secretUUID(id vm.ID) string {
	sum := sha256.Sum256([]byte("hippius disk secret " + string(id)))
	return uuidText(vm.ID(hex.EncodeToString(sum[:16])))
}

// domainXML describes m to libvirt.
func (d *Driver) domainXML(m hypervisor.Definition) (string, error) {
	text, err := xml.Marshal(label{
		ID: m.ID, Tag: d.cfg.Tag, InstanceSeq: m.InstanceSeq, Generation: m.Generation,
		Name: m.Name, NetworkBits: m.Limits.NetworkBitsPerSec,
	})
	if err != nil {
		return "", fmt.Errorf("describe vm %s: %w", m.ID, err)
	}
	dom := &libvirtxml.Domain{
		Type:          "kvm",
		Name:          d.domainName(m.ID),
		UUID:          uuidText(m.ID),
		Metadata:      &libvirtxml.DomainMetadata{XML: string(text)},
		Memory:        &libvirtxml.DomainMemory{Value: uint(m.MemoryMiB), Unit: "MiB", DumpCore: "off"},
		CurrentMemory: &libvirtxml.DomainCurrentMemory{Value: uint(m.MemoryMiB), Unit: "MiB"},
		// No page of one tenant is ever merged with another's.
		MemoryBacking: &libvirtxml.DomainMemoryBacking{MemoryNosharepages: &libvirtxml.DomainMemoryNosharepages{}},
		VCPU:          &libvirtxml.DomainVCPU{Value: uint(m.VCPUs)},
		CPUTune:       cpuTune(m.Limits),
		OS:            operatingSystem(m.Firmware),
		CPU:           &libvirtxml.DomainCPU{Mode: "host-passthrough"},
		Clock:         &libvirtxml.DomainClock{Offset: "utc"},
		OnPoweroff:    "destroy", OnReboot: "restart", OnCrash: "destroy",
		PM: &libvirtxml.DomainPM{
			SuspendToMem:  &libvirtxml.DomainPMPolicy{Enabled: "no"},
			SuspendToDisk: &libvirtxml.DomainPMPolicy{Enabled: "no"},
		},
		Features: &libvirtxml.DomainFeatureList{
			ACPI:   &libvirtxml.DomainFeature{},
			APIC:   &libvirtxml.DomainFeatureAPIC{},
			VMPort: &libvirtxml.DomainFeatureState{State: "off"},
		},
		Devices: d.devices(m),
	}
	if d.host.Acceleration == hypervisor.AccelTCG {
		dom.Type = "qemu"
		dom.CPU = &libvirtxml.DomainCPU{Mode: "maximum"}
		dom.Features.TCG = &libvirtxml.DomainFeatureTCG{
			TBCache: &libvirtxml.DomainFeatureTCGTBCache{Unit: "MiB", Size: tbCacheMiB},
		}
	}
	out, err := dom.Marshal()
	if err != nil {
		return "", fmt.Errorf("describe vm %s: %w", m.ID, err)
	}
	return out, nil
}

func operatingSystem(firmware hypervisor.Firmware) *libvirtxml.DomainOS {
	os := &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "q35", Type: "hvm"}}
	if firmware == hypervisor.FirmwareEFI {
		os.Firmware = "efi"
		os.FirmwareInfo = &libvirtxml.DomainOSFirmwareInfo{
			Features: []libvirtxml.DomainOSFirmwareFeature{{Enabled: "no", Name: "secure-boot"}},
		}
	}
	return os
}

// cpuPeriod is the stretch, in microseconds, over which CPU time is counted.
const cpuPeriod = 100_000

func cpuTune(l hypervisor.Limits) *libvirtxml.DomainCPUTune {
	if l.CPUPercent == 0 {
		return nil
	}
	period := &libvirtxml.DomainCPUTunePeriod{Value: cpuPeriod}
	return &libvirtxml.DomainCPUTune{
		Period: period,
		Quota:  &libvirtxml.DomainCPUTuneQuota{Value: int64(l.CPUPercent) * cpuPeriod / 100},
		// Serving the VM's devices is worth one core, whatever its vCPUs.
		EmulatorPeriod: period,
		EmulatorQuota:  &libvirtxml.DomainCPUTuneQuota{Value: cpuPeriod},
	}
}
