package types

import (
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Core is the phase in the words of core/vm; both have the same numbers, and any other is none.
func (p Phase) Core() vm.Phase {
	if p < 0 || p > Phase_PHASE_TERMINATED {
		return 0
	}
	return vm.Phase(p)
}

// PhaseOf is the inverse of Phase.Core.
func PhaseOf(p vm.Phase) Phase { return Phase(p) }

// Core is the VM in the words of core/vm, as far as its rules need it: without instances, attestation and keys.
func (v VM) Core() vm.VM {
	c := vm.VM{
		ID: vm.ID(v.Id), Owner: v.Owner, Spec: v.Spec.Core(), Generation: v.Generation,
		Status: vm.Status{
			Phase: v.Status.Phase.Core(), Miner: v.Status.Miner, InstanceSeq: v.Status.InstanceSeq,
			HasData: v.Status.HasData, ReadyAt: v.Status.ReadyAt, Reason: v.Status.Reason, Message: v.Status.Message,
		},
		Sizing: vm.Sizing{Size: v.Size_.Core(), Rates: plan.Rates{Running: v.RunningRate, Stopped: v.StoppedRate}},
		Arch:   v.Arch,
	}
	if r := v.Resize; r != nil {
		c.Resize = &vm.SizeChange{
			Generation: r.Generation, Size: r.Size_.Core(),
			Rates: plan.Rates{Running: r.RunningRate, Stopped: r.StoppedRate}, Restart: r.Restart,
		}
	}
	return c
}

// Core is the action in the words of core/vm; without one the VM is rebooted.
func (a OnSilence) Core() vm.SilenceAction {
	if a <= 0 || a > OnSilence_ON_SILENCE_CHARGE {
		return vm.SilenceReboot
	}
	return vm.SilenceAction(a)
}

// Ended reports whether the VM is terminated or about to be.
func (v VM) Ended() bool { return v.Status.Phase.Core().Ended() }

// SizeOf is the state that stands for a size.
func SizeOf(s plan.Size) Size {
	return Size{
		Vcpus: s.VCPUs, MemoryMib: s.MemoryMiB, DiskGib: s.DiskGiB, Iops: s.IOPS,
		DiskBytesPerSecond: s.DiskBytesPerSecond, NetworkBitsPerSecond: s.NetworkBitsPerSecond,
	}
}

// Core is the size as the rules know it.
func (s Size) Core() plan.Size {
	return plan.Size{
		VCPUs: s.Vcpus, MemoryMiB: s.MemoryMib, DiskGiB: s.DiskGib, IOPS: s.Iops,
		DiskBytesPerSecond: s.DiskBytesPerSecond, NetworkBitsPerSecond: s.NetworkBitsPerSecond,
	}
}

// Core is the spec in the words of core/vm.
func (s VMSpec) Core() vm.Spec {
	return vm.Spec{
		Name: s.Name, Plan: s.Plan, Image: s.Image, Apps: s.Apps, UserDataHash: s.UserDataHash, SSHKeys: s.SshKeys,
		MeshAddress: s.MeshAddress, HostCA: s.HostCa, Agent: vm.AgentMode(max(0, s.Agent)), OnSilence: vm.SilenceAction(max(0, s.OnSilence)), Region: s.Region, SpreadGroup: s.SpreadGroup,
		Miners: s.Miners, Priority: s.Priority, On: s.Power == Power_POWER_ON, RebootSeq: s.RebootSeq,
	}
}

// Core is the attestation in the words of core/vm.
func (a Attestation) Core() vm.Attestation {
	c := vm.Attestation{
		LastAt: a.LastAt, InstanceSeq: a.InstanceSeq, Disk: a.Disk, RunningSeconds: a.RunningSeconds, StoppedSeconds: a.StoppedSeconds,
		ProofHeight: a.ProofHeight, ChargedUnits: a.ChargedUnits, Proven: a.Proven, Unproven: a.Unproven, WholeSince: a.WholeSince, Usage: credit.Usage{Units: a.OwedUnits},
		Silence: vm.Silence{SilentSince: a.SilentSince, SeenAt: a.SeenAt, SilentReports: a.SilentReports, SilenceReboots: a.SilenceReboots},
	}
	for _, iv := range a.Pending {
		c.Usage.Pending = append(c.Usage.Pending, credit.Interval{From: iv.From, To: iv.To, Rate: iv.Rate})
	}
	return c
}

// AttestationOf is the state that stands for an attestation.
func AttestationOf(c vm.Attestation) Attestation {
	a := Attestation{
		LastAt: c.LastAt, InstanceSeq: c.InstanceSeq, Disk: c.Disk, RunningSeconds: c.RunningSeconds, StoppedSeconds: c.StoppedSeconds,
		ProofHeight: c.ProofHeight, ChargedUnits: c.ChargedUnits, Proven: c.Proven, Unproven: c.Unproven, WholeSince: c.WholeSince, OwedUnits: c.Usage.Units,
		SilentSince: c.SilentSince, SeenAt: c.SeenAt, SilentReports: c.SilentReports, SilenceReboots: c.SilenceReboots,
	}
	for _, iv := range c.Usage.Pending {
		a.Pending = append(a.Pending, Interval{From: iv.From, To: iv.To, Rate: iv.Rate})
	}
	return a
}
