package vm

import (
	"strings"
	"testing"
)

// Each reason for which the chain leaves a VM waiting or failed has words that are valid as a message; a miner's own stay.
func TestExplain(t *testing.T) {
	for _, reason := range []string{
		ReasonNoCapacity, ReasonSecretsNeeded, ReasonRetryWait, ReasonNotProvisioned, ReasonAttempts, ReasonCreditRunOut,
		ReasonHostGone, ReasonUnpaid, ReasonNoAgent, ReasonFetchingImage, ReasonGuestSilent,
	} {
		s := Status{Reason: reason}
		words := s.Explain()
		if !strings.Contains(words, " ") || ValidMessage(words) != nil {
			t.Errorf("%s: %q", reason, words)
		}
		s.Message = "what the miner says"
		if got := s.Explain(); got != s.Message {
			t.Errorf("%s with a message: %q", reason, got)
		}
	}
	if words := (Status{Phase: Rebooting, Reason: ReasonGuestSilent}).Explain(); !strings.Contains(words, "rebooted") {
		t.Errorf("a silent guest that is rebooted: %q", words)
	}
	s := Status{Reason: ReasonAttempts, Excluded: []string{"hip1first", "hip1last"}}
	if got := s.Explain(); got != "miner hip1last did not begin in time" {
		t.Error(got)
	}
	off := Status{Phase: Failed, HasData: true, Reason: ReasonBootTimeout}
	if words := off.Explain(); !strings.Contains(words, "start it") || ValidMessage(words) != nil {
		t.Errorf("a start that took too long: %q", words)
	}
	for _, reason := range []string{"", ReasonTenant, ReasonBootTimeout, "a_miners_own"} {
		if got := (Status{Reason: reason}).Explain(); got != "" {
			t.Errorf("%q: %q", reason, got)
		}
	}
}
