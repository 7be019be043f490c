package vm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
)

// Bounds of a spec.
const (
	MaxApps      = 8
	MaxSSHKeys   = 16
	MaxMiners    = 16
	MaxPriority  = 1000
	HashSize     = 32
	HostCASize   = 32
	MaxReasonLen = 64
	// MaxMessageLen of a status message, in bytes.
	MaxMessageLen = 256
)

// AgentMode says what shows that a VM is alive; a closed set with the numbers of the chain's messages.
type AgentMode uint8

// The agent modes.
const (
	// AgentGuest: the guest's agent proves the VM alive.
	AgentGuest AgentMode = iota + 1
	// AgentNone: charged on the host's word.
	AgentNone
)

// SilenceAction is what happens to a VM whose guest gives no proof while its
// host reports it running; a closed set with the numbers of the chain's messages.
type SilenceAction uint8

// The actions.
const (
	// SilenceReboot: it is rebooted once, then stopped.
	SilenceReboot SilenceAction = iota + 1
	// SilenceStop: it is stopped.
	SilenceStop
	// SilenceCharge: it runs on, charged on its host's word.
	SilenceCharge
)

// SilenceActions are the names of all actions, in their order.
func SilenceActions() []string { return []string{"reboot", "stop", "charge"} }

// String names the action; "silence(n)" for none.
func (a SilenceAction) String() string {
	if a < SilenceReboot || a > SilenceCharge {
		return fmt.Sprintf("silence(%d)", uint8(a))
	}
	return SilenceActions()[a-1]
}

// ParseSilenceAction is the inverse of String.
func ParseSilenceAction(s string) (SilenceAction, error) {
	i := slices.Index(SilenceActions(), s)
	if i < 0 {
		return 0, fmt.Errorf("action %.20q on a silent guest; accepted are %s", s, strings.Join(SilenceActions(), ", "))
	}
	return SilenceAction(i + 1), nil
}

// MarshalText gives the action's name.
func (a SilenceAction) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (a *SilenceAction) UnmarshalText(text []byte) (err error) {
	*a, err = ParseSilenceAction(string(text))
	return err
}

// Spec is the desired state of a VM.
type Spec struct {
	// Name is unique among the owner's VMs that are not terminated.
	Name  string   `json:"name"`
	Plan  string   `json:"plan"`
	Image string   `json:"image"`
	Apps  []string `json:"apps,omitempty"`
	// UserDataHash is the SHA-256 of the sealed user data; empty for none.
	UserDataHash []byte `json:"user_data_hash,omitempty"`
	// SSHKeys are names of the account's keys.
	SSHKeys []string `json:"ssh_keys,omitempty"`
	// MeshAddress inside the tenant's block, in the usual form of an IP address.
	MeshAddress string `json:"mesh_address"`
	// HostCA is the Ed25519 public key, 32 bytes, that signs the VM's SSH host certificates.
	HostCA []byte    `json:"host_ca"`
	Agent  AgentMode `json:"agent"`
	// OnSilence of the guest; 0 is SilenceReboot.
	OnSilence SilenceAction `json:"on_silence,omitempty"`
	// Region and SpreadGroup are empty for any and none.
	Region      string `json:"region,omitempty"`
	SpreadGroup string `json:"spread_group,omitempty"`
	// Miners to choose among, by operator's address; empty for any.
	Miners []string `json:"miners,omitempty"`
	// Priority in which VMs stop when credit runs out: lowest first.
	Priority uint32 `json:"priority,omitempty"`
	// On is the desired power.
	On bool `json:"on"`
	// RebootSeq rises with each reboot that is asked for.
	RebootSeq uint64 `json:"reboot_seq,omitempty"`
}

// Validate checks every field's form and bounds and returns the first fault as
// one sentence. What a name stands for is not its matter.
func (s Spec) Validate() error {
	if len(s.SSHKeys) == 0 {
		return fmt.Errorf("no SSH key is named; name 1 to %d of the account's keys", MaxSSHKeys)
	}
	return s.ValidateKept()
}

// ValidateKept is Validate for a VM that exists: its account may have removed every key it named.
func (s Spec) ValidateKept() error {
	if err := text.ValidName("VM name", s.Name); err != nil {
		return err
	}
	for _, f := range []struct{ what, value string }{{"plan", s.Plan}, {"image", s.Image}} {
		if err := plan.ValidateName(f.what, f.value); err != nil {
			return err
		}
	}
	for _, f := range []struct{ what, value string }{{"region", s.Region}, {"spread group", s.SpreadGroup}} {
		if f.value == "" {
			continue
		}
		if err := text.ValidName(f.what, f.value); err != nil {
			return err
		}
	}
	if err := names("application", s.Apps, MaxApps, plan.ValidateName); err != nil {
		return err
	}
	if err := ValidKeys(s.SSHKeys); err != nil {
		return err
	}
	if err := names("miner", s.Miners, MaxMiners, text.ValidName); err != nil {
		return err
	}
	if n := len(s.UserDataHash); n != 0 && n != HashSize {
		return fmt.Errorf("user data hash has %d bytes; it is empty or a SHA-256 of %d", n, HashSize)
	}
	if n := len(s.HostCA); n != HostCASize {
		return fmt.Errorf("host CA key has %d bytes; it is an Ed25519 public key of %d", n, HostCASize)
	}
	if s.Priority > MaxPriority {
		return fmt.Errorf("priority %d is too high; 0 to %d are accepted", s.Priority, MaxPriority)
	}
	if s.OnSilence > SilenceCharge {
		return fmt.Errorf("action %d on a silent guest; accepted are %d to %d", s.OnSilence, SilenceReboot, SilenceCharge)
	}
	addr, err := netip.ParseAddr(s.MeshAddress)
	if err != nil || addr.Zone() != "" || addr.String() != s.MeshAddress {
		return fmt.Errorf("mesh address %.64q is not an address in its usual form, such as 100.64.0.2", s.MeshAddress)
	}
	return nil
}

// ValidKeys checks the form of a list of SSH keys' names.
func ValidKeys(list []string) error { return names("SSH key", list, MaxSSHKeys, text.ValidName) }

func names(what string, list []string, limit int, valid func(what, s string) error) error {
	if len(list) > limit {
		return fmt.Errorf("%d times %s; at most %d are accepted", len(list), what, limit)
	}
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if err := valid(what, s); err != nil {
			return err
		}
		if seen[s] {
			return fmt.Errorf("%s %q is named twice", what, s)
		}
		seen[s] = true
	}
	return nil
}
