package cli

import (
	"strings"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
)

// vmView is a VM as it is printed; its field names are a promise to scripts.
type vmView struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Plan        string   `json:"plan"`
	Image       string   `json:"image"`
	Apps        []string `json:"apps,omitempty"`
	Phase       string   `json:"phase"`
	Reason      string   `json:"reason,omitempty"`
	Message     string   `json:"message,omitempty"`
	QueuePlace  uint32   `json:"queue_place,omitempty"`
	MeshAddress string   `json:"mesh_address"`
	Miner       string   `json:"miner,omitempty"`
	MinerName   string   `json:"miner_name,omitempty"`
	Region      string   `json:"region,omitempty"`
	Instance    uint32   `json:"instance"`
	SSHKeys     []string `json:"ssh_keys"`
	// RemovedKeys left the account and still open the machine.
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

// removedKeyView is an SSH key that is a machine's and not the account's any more.
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

func viewVM(vm *computev1.VM) vmView {
	spec, status := vm.GetSpec(), vm.GetStatus()
	v := vmView{
		ID: vm.GetId(), Name: spec.GetName(), Plan: spec.GetPlan(), Image: spec.GetImage(), Apps: spec.GetApps(),
		Phase: phaseName(status.GetPhase()), Reason: status.GetReason(), Message: status.GetMessage(),
		QueuePlace: status.GetQueuePlace(), MeshAddress: spec.GetMeshAddress(), Miner: status.GetMiner(),
		Region: spec.GetRegion(), Instance: status.GetInstanceSeq(), SSHKeys: spec.GetSshKeys(),
		CreatedAt: vm.GetCreatedAt(), ReadyAt: status.GetReadyAt(),
		RunningSeconds: status.GetAttestation().GetRunningSeconds(),
		StoppedSeconds: status.GetAttestation().GetStoppedSeconds(),
		RunningRate:    vm.GetRunningRate(), StoppedRate: vm.GetStoppedRate(),
		ChargedUnits: status.GetAttestation().GetChargedUnits(),
		VCPUs:        vm.GetSize().GetVcpus(), MemoryMiB: vm.GetSize().GetMemoryMib(), DiskGiB: vm.GetSize().GetDiskGib(),
	}
	for _, k := range vm.GetRemovedKeys() {
		v.RemovedKeys = append(v.RemovedKeys, removedKeyView{Name: k.GetName(), Fingerprint: k.GetFingerprint(), RemovedAt: k.GetRemovedAt()})
	}
	if r := vm.GetResize(); r != nil {
		v.Resize = &resizeView{
			VCPUs: r.GetSize().GetVcpus(), MemoryMiB: r.GetSize().GetMemoryMib(), DiskGiB: r.GetSize().GetDiskGib(),
			RunningRate: r.GetRunningRate(), StoppedRate: r.GetStoppedRate(), Restart: r.GetRestart(),
		}
	}
	switch phase := status.GetPhase(); {
	case isUp(phase):
		v.UcreditPerHour = vm.GetRunningRate()
	case phase == computev1.Phase_PHASE_STOPPED:
		v.UcreditPerHour = vm.GetStoppedRate()
	}
	return v
}

// isUp says that a machine runs or is only just rebooting.
func isUp(p computev1.Phase) bool {
	return p == computev1.Phase_PHASE_RUNNING || p == computev1.Phase_PHASE_REBOOTING
}

// isComing says that a machine is on its way to its first start.
func isComing(p computev1.Phase) bool {
	return p == computev1.Phase_PHASE_PENDING || p == computev1.Phase_PHASE_ASSIGNED || p == computev1.Phase_PHASE_PROVISIONING
}

// enumName turns a protobuf enum's name into the word people see.
func enumName(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}

func phaseName(p computev1.Phase) string { return enumName(p.String(), "PHASE_") }

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

func viewMiner(m *registryv1.Miner) minerView {
	c, u := m.GetCapacity(), m.GetUsage()
	return minerView{
		Operator: m.GetOperator(), Name: m.GetName(), Region: m.GetRegion(),
		Status: enumName(m.GetStatus().String(), "MINER_STATUS_"),
		Cores:  c.GetCores(), MemoryMiB: c.GetMemoryMib(), DiskGiB: c.GetDiskGib(),
		Acceleration: c.GetAcceleration(), CPUModel: c.GetCpuModel(),
		VMs: u.GetVms(), UsedVCPUs: u.GetVcpus(), UsedMemory: u.GetMemoryMib(), UsedDisk: u.GetDiskGib(),
		BondUhip: m.GetBondUhip(), Endpoint: m.GetEndpoint(),
		RegisteredAt: m.GetRegisteredAt(), LastSeen: m.GetLastSeen(), Version: m.GetVersion(),
	}
}
