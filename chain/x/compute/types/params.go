package types

import "github.com/hippius/compute/core/mesh"

const maxVMsPerAccount = mesh.LastVM - mesh.FirstVM + 1

// proofGap that is charged, in seconds, and how old a proof may be: what an agent's outage of a minute takes, whenever
// it begins. The last proof that it noted is up to two rounds of proofs, of 5 s each, older than the outage, and signs a
// block that was not the newest; then the next agent has to start and its first report to get into a block.
const proofGap = 80

// DefaultParams are those of a new network.
func DefaultParams() Params {
	return Params{
		ProvisionTimeoutSeconds: 30,
		MaxCandidates:           64,
		MaxAssignmentsPerBlock:  100,
		MaxVmsPerAccount:        maxVMsPerAccount,
		MaxKeysPerAccount:       50,
		MaxProofGapSeconds:      proofGap,
		ProofMaxAgeSeconds:      proofGap,
		MaxReportsPerMinute:     120,
		MaxAttempts:             5,
	}
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	for _, c := range []struct {
		what        string
		v, low, top uint64
	}{
		{"provision_timeout_seconds", p.ProvisionTimeoutSeconds, 5, 3600},
		{"max_candidates", uint64(p.MaxCandidates), 1, 256},
		{"max_assignments_per_block", uint64(p.MaxAssignmentsPerBlock), 1, 1000},
		{"max_vms_per_account", uint64(p.MaxVmsPerAccount), 1, maxVMsPerAccount},
		{"max_keys_per_account", uint64(p.MaxKeysPerAccount), 1, 200},
		{"max_proof_gap_seconds", p.MaxProofGapSeconds, 10, 600},
		{"proof_max_age_seconds", p.ProofMaxAgeSeconds, 10, 600},
		{"max_reports_per_minute", uint64(p.MaxReportsPerMinute), 2, 6000},
		{"max_attempts", uint64(p.MaxAttempts), 1, 64},
	} {
		if c.v < c.low || c.v > c.top {
			return ErrInvalid.Wrapf("%s is %d; accepted are %d to %d", c.what, c.v, c.low, c.top)
		}
	}
	return nil
}
