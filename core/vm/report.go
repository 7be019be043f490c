package vm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/hippius/compute/core/text"
)

// MaxReports in one batch of a miner.
const MaxReports = 256

// Report is what a miner says of one VM it holds.
type Report struct {
	ID                 ID
	InstanceSeq        uint32
	ObservedGeneration uint64
	Phase              Phase
	// Reason is a code of a-z, 0-9 and _, at most MaxReasonLen; Message a sentence, at most MaxMessageLen bytes.
	Reason, Message string
	// Proof is the guest's newest; nil for none.
	Proof             *Proof
	ObservedRebootSeq uint64
	// SizeGeneration is the generation of the spec whose size the VM runs with.
	SizeGeneration uint64
}

// ReportResult answers one Report; Code 0 when it was accepted.
type ReportResult struct {
	ID   ID
	Code uint32
	// Message says in a sentence what the code means; empty when it was accepted.
	Message string
}

// Starts reports whether a host that says that it provisions a VM, for a reason, may have it running meanwhile: no reason is needed
// for that, its process died and is started again, or its guest is not heard. Any other reason is why it cannot be started.
func Starts(reason string) bool {
	return reason == "" || reason == ReasonTenant || reason == ReasonHostProcessDied || reason == ReasonBootTimeout
}

// Stalls reports whether a host that says that it provisions a VM, for a reason, is kept from starting it by what may not end. A
// download does.
func Stalls(reason string) bool { return !Starts(reason) && reason != ReasonFetchingImage }

// Reported is the reason and message that a status has once its miner reported the VM in a phase: what the miner said. One that confirms
// that a VM is stopped or ended, without a reason of its own, leaves the reason for which that was ordered. So does one of a VM that is
// stopping with a failure on the way, of which the message is.
func (s Status) Reported(p Phase, reason, message string) (string, string) {
	off := (s.Phase == Stopping || s.Phase == Stopped) && (p == Stopping || p == Stopped)
	ended := s.Phase == Terminating && p == Terminated
	if !off && !ended || !ordered(s.Reason) || reason != "" && p != Stopping {
		return reason, message
	}
	if s.Phase == Stopped {
		message = cmp.Or(message, s.Message)
	}
	return s.Reason, cmp.Or(message, reason)
}

// ordered tells whether a reason is one for which a VM is ordered to be off or to end.
func ordered(reason string) bool {
	return slices.Contains([]string{ReasonTenant, ReasonCreditRunOut, ReasonGuestSilent, ReasonUnpaid}, reason)
}

// ValidReason says in one sentence what is wrong with the code a status carries; empty is valid.
func ValidReason(s string) error {
	if len(s) > MaxReasonLen {
		return fmt.Errorf("the reason has %d bytes; at most %d", len(s), MaxReasonLen)
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("reason %q; accepted are words of a-z, 0-9 and _", s)
		}
	}
	return nil
}

// ValidReportReason says in one sentence what is wrong with the code that a miner's report carries; empty is valid. The reasons of
// the chain's own decisions are not a miner's to give; ReasonCreditRunOut, which this takes, is only to be repeated.
func ValidReportReason(s string) error {
	switch s {
	case ReasonNoCapacity, ReasonSecretsNeeded, ReasonRetryWait, ReasonNotProvisioned, ReasonNoProof, ReasonNoAgent, ReasonAttempts,
		ReasonResize, ReasonGuestSilent, ReasonHostGone, ReasonUnpaid:
		return fmt.Errorf("reason %s is the chain's; accepted are a miner's own", s)
	default:
		return ValidReason(s)
	}
}

// ValidMessage says in one sentence what is wrong with the sentence a status carries; empty is valid.
func ValidMessage(s string) error {
	if len(s) > MaxMessageLen {
		return fmt.Errorf("the message has %d bytes; at most %d", len(s), MaxMessageLen)
	}
	for _, c := range s {
		if !text.Printable(c) {
			return errors.New("the message has a character that cannot be printed")
		}
	}
	return nil
}
