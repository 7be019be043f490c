package types

import (
	"github.com/hippius/compute/core/node"
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

// Demand is what the VM takes of its miner.
func (v VM) Demand() node.Demand {
	return node.Demand{VCPUs: v.Size_.Vcpus, MemoryMiB: v.Size_.MemoryMib, DiskGiB: v.Size_.DiskGib}
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
