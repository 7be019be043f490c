package types

import (
	"github.com/hippius/compute/core/node"
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

// State is what the VM's next phase depends on.
func (v VM) State() vm.State {
	return vm.State{Phase: v.Status.Phase.Core(), Held: v.Status.Miner != "", HasData: v.Status.HasData, On: v.Spec.Power == Power_POWER_ON}
}

// Demand is what the VM takes of its miner: until a resize is in effect, what
// either size needs.
func (v VM) Demand() node.Demand {
	d := v.Size_.Demand()
	if v.Resize != nil {
		d = d.Both(v.Resize.Size_.Demand())
	}
	return d
}

// Demand is what a VM of this size takes.
func (s Size) Demand() node.Demand {
	return node.Demand{VCPUs: s.Vcpus, MemoryMiB: s.MemoryMib, DiskGiB: s.DiskGib}
}

// WantedSize is the VM's size once what was ordered is in effect.
func (v VM) WantedSize() Size {
	if v.Resize != nil {
		return v.Resize.Size_
	}
	return v.Size_
}

// HeldRate is what the hold-back has to pay of the VM when it is stopped, in ucredit per hour.
func (v VM) HeldRate() uint64 {
	if v.Resize != nil {
		return max(v.StoppedRate, v.Resize.StoppedRate)
	}
	return v.StoppedRate
}

// Resizing reports whether a restart into another size is still to be seen by
// a miner that runs the size of a generation.
func (v VM) Resizing(generation uint64) bool {
	return v.Resize != nil && v.Resize.Restart && generation < v.Resize.Generation
}

// SizeOf is the state that stands for a plan's size.
func SizeOf(p plan.Plan) Size {
	return Size{
		Vcpus: p.VCPUs, MemoryMib: p.MemoryMiB, DiskGib: p.DiskGiB, Iops: p.IOPS,
		DiskBytesPerSecond: p.DiskBytesPerSecond, NetworkBitsPerSecond: p.NetworkBitsPerSecond,
	}
}

// Core is the size as the rules know it: a plan without a name.
func (s Size) Core() plan.Plan {
	return plan.Plan{
		VCPUs: s.Vcpus, MemoryMiB: s.MemoryMib, DiskGiB: s.DiskGib, IOPS: s.Iops,
		DiskBytesPerSecond: s.DiskBytesPerSecond, NetworkBitsPerSecond: s.NetworkBitsPerSecond,
	}
}

// Ended reports whether the VM is terminated or about to be.
func (v VM) Ended() bool {
	p := v.Status.Phase.Core()
	return p == vm.Terminating || p == vm.Terminated
}

// Rate is what the VM costs now, in ucredit per hour: while its guest, or for
// agent "none" its host, has shown it running, or its stopped disk is kept.
func (v VM) Rate() uint64 {
	switch p := v.Status.Phase.Core(); {
	case p.On() && v.Status.ReadyAt > 0:
		return v.RunningRate
	case p == vm.Stopped:
		return v.StoppedRate
	default:
		return 0
	}
}

// Core is the spec in the words of core/vm.
func (s VMSpec) Core() vm.Spec {
	return vm.Spec{
		Name: s.Name, Plan: s.Plan, Image: s.Image, Apps: s.Apps, UserDataHash: s.UserDataHash, SSHKeys: s.SshKeys,
		MeshAddress: s.MeshAddress, HostCA: s.HostCa, Region: s.Region, SpreadGroup: s.SpreadGroup, Miners: s.Miners, Priority: s.Priority,
	}
}
