package vm

import (
	"math"

	"github.com/hippius/compute/core/credit"
)

// Attestation is how far a VM's present instance has been shown alive, and what
// of that is to be charged. Times are unix seconds.
type Attestation struct {
	// LastAt is when it is attested up to; 0 before the first proof, and while nothing is to be attested.
	LastAt      int64  `json:"last_at,omitempty"`
	InstanceSeq uint32 `json:"instance_seq,omitempty"`
	// Disk is true while only the stopped disk is attested.
	Disk bool `json:"disk,omitempty"`
	// RunningSeconds and StoppedSeconds attested so far, all instances.
	RunningSeconds uint64 `json:"running_seconds,omitempty"`
	StoppedSeconds uint64 `json:"stopped_seconds,omitempty"`
	// ProofHeight: only proofs of a later block are accepted.
	ProofHeight int64 `json:"proof_height,omitempty"`
	// ChargedUnits settled so far, in ucredit·seconds per hour: 3600 of them are one ucredit.
	ChargedUnits uint64 `json:"charged_units,omitempty"`
	// Proven from the first proof of the first instance on. Before it nothing is charged.
	Proven bool `json:"proven,omitempty"`
	// Unproven: it ran before and gave no proof. Until it gives one it is charged on its host's word.
	Unproven bool `json:"unproven,omitempty"`
	// WholeSince is since when nothing of the run is missing from what is attested; 0 if that is since its first proof.
	WholeSince int64 `json:"whole_since,omitempty"`
	// Usage is attested and not settled.
	Usage credit.Usage `json:"usage,omitzero"`
	Silence
}

// Charged is what was settled and what is owed, in units.
func (a Attestation) Charged() uint64 {
	owed := a.Usage.Owed()
	return a.ChargedUnits + min(owed, math.MaxUint64-a.ChargedUnits)
}

// Silence is what a host reported of a running VM since its guest's last proof.
type Silence struct {
	// SilentSince and SeenAt are the times of the first and the last of those reports, between
	// which the host was not away; 0 for none.
	SilentSince int64 `json:"silent_since,omitempty"`
	SeenAt      int64 `json:"seen_at,omitempty"`
	// SilentReports counts them.
	SilentReports uint32 `json:"silent_reports,omitempty"`
	// SilenceReboots since the last proof.
	SilenceReboots uint32 `json:"silence_reboots,omitempty"`
}

// AttestRules are the chain's parameters of what is attested, in seconds.
type AttestRules struct {
	// Gap before a proof that it attests. A host that did not report for longer was away.
	Gap int64
	// SilenceSeconds and SilenceReports are how long and in how many reports a guest
	// gives no proof until it is silent.
	SilenceSeconds int64
	SilenceReports uint32
}

// Boot notes that a host reports, at a time, that it starts a VM, after the End of what was before. If the VM was ever proven, what
// it is charged begins a BootAllowance later.
func (a *Attestation) Boot(at int64) {
	if a.Proven && a.LastAt == 0 {
		a.LastAt = at + BootAllowance
	}
}

// Begin notes that a host reports, at a time, that a VM runs. What it is charged begins there if the VM was ever proven and
// nothing of the run was charged before, else with its first proof.
func (a *Attestation) Begin(at int64) {
	if a.Proven && (a.LastAt == 0 || at < a.LastAt) {
		a.LastAt = at
	}
}

// Prove notes that the guest was alive at a time, that of the block that it
// signed. It attests the time before, as far as the rules' gap, and what the
// host reported since the last proof, but nothing twice, and nothing before the run.
func (a *Attestation) Prove(r AttestRules, at int64, rate uint64) error {
	var err error
	if a.LastAt == 0 { // nothing else is charged before the first proof, whoever gave it no chance to run
		err = a.chargeUnproven(r, at, true, rate)
		a.LastAt, a.Silence = at, Silence{}
	}
	if err == nil && a.SilentSince < at { // else what was reported before the proof is what the proof attests
		err = a.attestSeen(r, at, rate)
	}
	if err == nil {
		err = a.attest(at-r.Gap, at, rate)
	}
	a.Proven, a.Unproven, a.Silence = true, false, Silence{}
	return err
}

// Saw notes a report, at a time, that the VM runs, without a fresh proof. A
// host that was away begins anew.
func (a *Attestation) Saw(r AttestRules, at int64) {
	if a.LastAt == 0 && !a.Unproven {
		return // the first run of all: a deadline ends it
	}
	if a.SilentSince == 0 || at-a.SeenAt > r.Gap {
		a.SilentSince, a.SilentReports = at, 0
	}
	a.SeenAt = at
	a.SilentReports++
}

// Silent reports whether the guest gave no proof for too long, while its host
// was seen all the time. A guest that was never proven is never silent: it has a deadline.
func (a *Attestation) Silent(r AttestRules) bool {
	return a.Proven && a.SilentReports >= r.SilenceReports && a.SeenAt-a.SilentSince >= r.SilenceSeconds
}

// ChargeSilence attests, on its host's word, the time for which the guest was
// silent, and counts anew.
func (a *Attestation) ChargeSilence(r AttestRules, rate uint64) error {
	if a.LastAt == 0 { // it gave no proof before either
		a.LastAt = a.SilentSince
	}
	err := a.attestSeen(r, a.SeenAt, rate)
	a.SilentSince, a.SilentReports = a.SeenAt, 0
	return err
}

// Disown ends a start that its host failed, and charges of it, if it was not the first run of all, what is beyond an excuse.
func (a *Attestation) Disown(r AttestRules, rate uint64) error {
	err := a.chargeUnproven(r, a.SeenAt, true, rate)
	a.LastAt, a.WholeSince, a.Silence = 0, 0, Silence{SilenceReboots: a.SilenceReboots}
	return err
}

// chargeUnproven attests, on its host's word, what is charged of a run without a proof up to a time.
func (a *Attestation) chargeUnproven(r AttestRules, until int64, excused bool, rate uint64) error {
	if !a.Unproven || a.LastAt != 0 || a.SilentSince == 0 {
		return nil
	}
	from, to := r.UnprovenCharge(a.SilentSince, min(a.SeenAt, until), excused)
	return a.attest(from, to, rate)
}

// Keep notes, on its host's word, that a stopped VM's disk is kept. Nothing is
// charged for the disk of a VM that was never proven.
func (a *Attestation) Keep(r AttestRules, at int64, rate uint64) error {
	if !a.Proven {
		return nil
	}
	if !a.Disk {
		a.LastAt, a.Disk = at, true
		return nil
	}
	return a.attest(at-r.Gap, at, rate)
}

// End ends the run, or the keeping of a disk. Until is a time up to which it
// was as before, if it was seen shortly before that; 0 for none.
func (a *Attestation) End(r AttestRules, until int64, rate uint64) error {
	var err error
	if a.LastAt != 0 {
		err = a.attestSeen(r, a.SeenAt, rate)
		seen := a.LastAt
		if a.SeenAt != 0 {
			seen = a.SeenAt // which is before it while a VM boots
		}
		if err == nil && until-seen <= r.Gap {
			err = a.attest(seen, until, rate)
		}
	} else { // it gave no proof before either
		err = a.chargeUnproven(r, a.SeenAt, false, rate)
	}
	a.LastAt, a.WholeSince, a.Disk, a.Silence = 0, 0, false, Silence{SilenceReboots: a.SilenceReboots}
	return err
}

// attestSeen attests what the host reported since the last proof, up to a
// time. A report attests the time before it as far as a proof does.
func (a *Attestation) attestSeen(r AttestRules, until int64, rate uint64) error {
	if a.SilentSince == 0 {
		return nil
	}
	return a.attest(a.SilentSince-r.Gap, min(until, a.SeenAt), rate)
}

// attest adds what of an interval is not attested yet.
func (a *Attestation) attest(from, to int64, rate uint64) error {
	gap := from > a.LastAt
	from = max(from, a.LastAt)
	if to <= from {
		return nil
	}
	if err := a.Usage.Add(credit.Interval{From: from, To: to, Rate: rate}); err != nil {
		return err
	}
	if gap {
		a.WholeSince = from
	}
	if a.Disk {
		a.StoppedSeconds += uint64(to - from)
	} else {
		a.RunningSeconds += uint64(to - from)
	}
	a.LastAt = to
	return nil
}
