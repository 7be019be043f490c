package types

import (
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

const maxVMsPerAccount = mesh.LastVM - mesh.FirstVM + 1

// proofGap before a proof that it attests, in seconds, and how old a proof may be: what an agent's outage of a minute takes, whenever
// it begins. The last proof that it noted is up to two rounds of proofs, of 5 s each, older than the outage, and signs a
// block that was not the newest; then the next agent has to start and its first report to get into a block.
const proofGap = 80

// MinHaltSeconds without a block is a halt of the chain, and MaxHalts are remembered.
const (
	MinHaltSeconds = 5
	MaxHalts       = 16
)

// MaxUnproven bounds the miners that a VM without a proof is run on.
const MaxUnproven = 8

// freeReportSpare is how many reports a free batch may have beside those of the VMs that its miner holds.
const freeReportSpare = 4

// DefaultParams are those of a new network.
func DefaultParams() Params {
	return Params{
		ProvisionTimeoutSeconds: 30,
		MaxCandidates:           64,
		MaxAssignmentsPerBlock:  100,
		MaxCandidatesPerBlock:   10_240,
		MaxVmsPerAccount:        maxVMsPerAccount,
		MaxKeysPerAccount:       50,
		MaxProofGapSeconds:      proofGap,
		ProofMaxAgeSeconds:      proofGap,
		MaxAttempts:             5,
		SilenceSeconds:          600,
		SilenceReports:          20,
		MaxSilenceActions:       20,
		BootTimeoutSeconds:      1800,
		BootSecondsPerGib:       1,
		HostGoneSeconds:         7 * 86_400,
		ReleaseSeconds:          86_400,
		ReportSeconds:           15,
		ReportBurst:             4,
		EmptyReportSeconds:      30,
		FreeReportGas:           600_000,
		FreeReportGasPerVm:      75_000,
		ExcludeSeconds:          86_400,
		ProvenSeconds:           3600,
		UnprovenMiners:          3,
	}
}

// Rules of what is attested.
func (p Params) Rules() vm.AttestRules {
	return vm.AttestRules{Gap: int64(p.MaxProofGapSeconds), SilenceSeconds: int64(p.SilenceSeconds), SilenceReports: p.SilenceReports}
}

// ReportRules are what a miner may report without a fee.
func (p Params) ReportRules() vm.ReportRules {
	return vm.ReportRules{
		Every: int64(p.ReportSeconds), Burst: int64(p.ReportBurst), EmptyEvery: int64(p.EmptyReportSeconds),
		Spare: freeReportSpare, Gas: p.FreeReportGas, GasPerVM: p.FreeReportGasPerVm,
	}
}

// BootTimeout is how long a VM with a disk of so many GiB may take until its first proof, in seconds.
func (p Params) BootTimeout(diskGiB uint64) int64 {
	return int64(p.BootTimeoutSeconds + p.BootSecondsPerGib*min(diskGiB, 1<<20))
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	for _, c := range []struct {
		what        string
		v, low, top uint64
	}{
		{"provision_timeout_seconds", p.ProvisionTimeoutSeconds, 5, 3600},
		{"max_candidates", uint64(p.MaxCandidates), 1, 128},
		{"max_assignments_per_block", uint64(p.MaxAssignmentsPerBlock), 1, 1000},
		{"max_candidates_per_block", uint64(p.MaxCandidatesPerBlock), 1024, 1 << 20},
		{"max_vms_per_account", uint64(p.MaxVmsPerAccount), 1, maxVMsPerAccount},
		{"max_keys_per_account", uint64(p.MaxKeysPerAccount), 1, 200},
		{"max_proof_gap_seconds", p.MaxProofGapSeconds, 10, 600},
		{"proof_max_age_seconds", p.ProofMaxAgeSeconds, 10, 600},
		{"max_attempts", uint64(p.MaxAttempts), 1, 64},
		{"silence_seconds", p.SilenceSeconds, 60, 86_400},
		{"silence_reports", uint64(p.SilenceReports), 2, 10_000},
		{"max_silence_actions", uint64(p.MaxSilenceActions), 0, 1_000_000},
		{"boot_timeout_seconds", p.BootTimeoutSeconds, 60, 86_400},
		{"boot_seconds_per_gib", p.BootSecondsPerGib, 0, 600},
		{"host_gone_seconds", p.HostGoneSeconds, 3600, 365 * 86_400},
		{"release_seconds", p.ReleaseSeconds, 600, 30 * 86_400},
		{"report_seconds", p.ReportSeconds, 1, 600},
		{"report_burst", uint64(p.ReportBurst), 1, 60},
		{"empty_report_seconds", p.EmptyReportSeconds, 1, 3600},
		{"free_report_gas", p.FreeReportGas, 100_000, 10_000_000},
		{"free_report_gas_per_vm", p.FreeReportGasPerVm, 10_000, 1_000_000},
		{"exclude_seconds", p.ExcludeSeconds, 60, 30 * 86_400},
		{"proven_seconds", p.ProvenSeconds, 1, 30 * 86_400},
		{"unproven_miners", uint64(p.UnprovenMiners), 1, MaxUnproven},
	} {
		if c.v < c.low || c.v > c.top {
			return ErrInvalid.Wrapf("%s is %d; accepted are %d to %d", c.what, c.v, c.low, c.top)
		}
	}
	return nil
}
