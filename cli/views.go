package cli

import (
	"cmp"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
)

// vmView is a VM as it is printed; its field names are a promise to scripts.
type vmView struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Plan       string   `json:"plan"`
	Image      string   `json:"image"`
	Apps       []string `json:"apps,omitempty"`
	Phase      string   `json:"phase"`
	Reason     string   `json:"reason,omitempty"`
	Message    string   `json:"message,omitempty"`
	QueuePlace uint32   `json:"queue_place,omitempty"`
	// MinersSearched of MinersTotal that have available capacity, while it waits for it.
	MinersSearched uint32   `json:"miners_searched,omitempty"`
	MinersTotal    uint32   `json:"miners_total,omitempty"`
	MeshAddress    string   `json:"mesh_address"`
	Miner          string   `json:"miner,omitempty"`
	MinerName      string   `json:"miner_name,omitempty"`
	Region         string   `json:"region,omitempty"`
	Instance       uint32   `json:"instance"`
	OnSilence      string   `json:"on_silence"`
	SSHKeys        []string `json:"ssh_keys"`
	// RemovedKeys left the account and still open the VM.
	RemovedKeys    []removedKeyView `json:"removed_ssh_keys,omitempty"`
	CreatedAt      int64            `json:"created_at"`
	ReadyAt        int64            `json:"ready_at,omitempty"`
	UcreditPerHour uint64           `json:"ucredit_per_hour"`
	RunningSeconds uint64           `json:"running_seconds"`
	StoppedSeconds uint64           `json:"stopped_seconds"`
	RunningRate    uint64           `json:"running_ucredit_per_hour"`
	StoppedRate    uint64           `json:"stopped_ucredit_per_hour"`
	ChargedUnits   uint64           `json:"charged_units"`
	VCPUs          uint32           `json:"vcpus"`
	MemoryMiB      uint64           `json:"memory_mib"`
	DiskGiB        uint64           `json:"disk_gib"`
	// Resize that is not in effect yet.
	Resize *resizeView `json:"resize,omitempty"`
}

// removedKeyView is an SSH key that is a VM's and not the account's any more.
type removedKeyView struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	RemovedAt   int64  `json:"removed_at"`
}

// resizeView is a size to be, with its rates.
type resizeView struct {
	VCPUs       uint32 `json:"vcpus"`
	MemoryMiB   uint64 `json:"memory_mib"`
	DiskGiB     uint64 `json:"disk_gib"`
	RunningRate uint64 `json:"running_ucredit_per_hour"`
	StoppedRate uint64 `json:"stopped_ucredit_per_hour"`
	Restart     bool   `json:"restart"`
}

func viewVM(v vm.VM) vmView {
	spec, status := v.Spec, v.Status
	out := vmView{
		ID: string(v.ID), Name: spec.Name, Plan: spec.Plan, Image: spec.Image, Apps: spec.Apps,
		Phase: status.Phase.String(), Reason: status.Reason, Message: status.Message,
		QueuePlace: status.QueuePlace, MinersSearched: status.MinersSearched, MinersTotal: status.MinersTotal, MeshAddress: spec.MeshAddress, Miner: status.Miner,
		Region: spec.Region, Instance: status.InstanceSeq, SSHKeys: spec.SSHKeys, OnSilence: cmp.Or(spec.OnSilence, vm.SilenceReboot).String(),
		CreatedAt: v.CreatedAt, ReadyAt: status.ReadyAt,
		RunningSeconds: status.Attestation.RunningSeconds,
		StoppedSeconds: status.Attestation.StoppedSeconds,
		RunningRate:    v.Rates.Running, StoppedRate: v.Rates.Stopped,
		ChargedUnits: status.Attestation.Charged(),
		VCPUs:        v.Size.VCPUs, MemoryMiB: v.Size.MemoryMiB, DiskGiB: v.Size.DiskGiB,
	}
	for _, k := range v.RemovedKeys {
		out.RemovedKeys = append(out.RemovedKeys, removedKeyView{Name: k.Name, Fingerprint: k.Fingerprint, RemovedAt: k.RemovedAt})
	}
	if r := v.Resize; r != nil {
		out.Resize = &resizeView{
			VCPUs: r.Size.VCPUs, MemoryMiB: r.Size.MemoryMiB, DiskGiB: r.Size.DiskGiB,
			RunningRate: r.Rates.Running, StoppedRate: r.Rates.Stopped, Restart: r.Restart,
		}
	}
	switch phase := status.Phase; {
	case phase.On():
		out.UcreditPerHour = v.Rates.Running
	case phase == vm.Stopped:
		out.UcreditPerHour = v.Rates.Stopped
	}
	return out
}

// minerView is a miner as it is printed.
type minerView struct {
	Operator     string `json:"operator"`
	Name         string `json:"name"`
	Region       string `json:"region"`
	Status       string `json:"status"`
	Cores        uint32 `json:"cores"`
	MemoryMiB    uint64 `json:"memory_mib"`
	DiskGiB      uint64 `json:"disk_gib"`
	Acceleration string `json:"acceleration"`
	CPUModel     string `json:"cpu_model,omitempty"`
	VMs          uint32 `json:"vms"`
	UsedVCPUs    uint32 `json:"used_vcpus"`
	UsedMemory   uint64 `json:"used_memory_mib"`
	UsedDisk     uint64 `json:"used_disk_gib"`
	BondUhip     uint64 `json:"bond_uhip"`
	Endpoint     string `json:"endpoint"`
	RegisteredAt int64  `json:"registered_at"`
	LastSeen     int64  `json:"last_seen"`
	Version      string `json:"version,omitempty"`
}

func viewMiner(m node.Miner) minerView {
	c, u := m.Capacity, m.Usage
	return minerView{
		Operator: m.Operator, Name: m.Name, Region: m.Region,
		Status: m.Status.String(),
		Cores:  c.Cores, MemoryMiB: c.MemoryMiB, DiskGiB: c.DiskGiB,
		Acceleration: m.Hardware.Acceleration, CPUModel: m.Hardware.CPUModel,
		VMs: u.VMs, UsedVCPUs: u.VCPUs, UsedMemory: u.MemoryMiB, UsedDisk: u.DiskGiB,
		BondUhip: m.BondUhip, Endpoint: m.Endpoint,
		RegisteredAt: m.RegisteredAt, LastSeen: m.LastSeen, Version: m.Version,
	}
}
