package vm

import (
	"fmt"
	"net/netip"

	"github.com/hippius/compute/core/plan"
)

// Bounds of a spec.
const (
	MaxNameLen   = 63
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

// Spec is what a tenant wants of a VM, as far as it can be judged by itself.
type Spec struct {
	Name         string
	Plan         string
	Image        string
	Apps         []string
	UserDataHash []byte
	SSHKeys      []string
	MeshAddress  string
	HostCA       []byte
	Region       string
	SpreadGroup  string
	Miners       []string
	Priority     uint32
}

// ValidName checks a name of a VM, key, device or the like: 1 to 63 characters
// of a-z, 0-9 and "-", not beginning with "-".
func ValidName(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s is missing; use 1 to %d characters of a-z, 0-9 and -", what, MaxNameLen)
	}
	if len(s) > MaxNameLen {
		return fmt.Errorf("%s has %d characters; at most %d are accepted", what, len(s), MaxNameLen)
	}
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (c != '-' || i == 0) {
			return fmt.Errorf("%s %q is not accepted: use a-z, 0-9 and -, beginning with a letter or digit", what, s)
		}
	}
	return nil
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
	if err := ValidName("VM name", s.Name); err != nil {
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
		if err := ValidName(f.what, f.value); err != nil {
			return err
		}
	}
	if err := names("application", s.Apps, MaxApps, plan.ValidateName); err != nil {
		return err
	}
	if err := ValidKeys(s.SSHKeys); err != nil {
		return err
	}
	if err := names("miner", s.Miners, MaxMiners, ValidName); err != nil {
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
	addr, err := netip.ParseAddr(s.MeshAddress)
	if err != nil || addr.Zone() != "" || addr.String() != s.MeshAddress {
		return fmt.Errorf("mesh address %.64q is not an address in its usual form, such as 100.64.0.2", s.MeshAddress)
	}
	return nil
}

// ValidKeys checks the form of a list of SSH keys' names.
func ValidKeys(list []string) error { return names("SSH key", list, MaxSSHKeys, ValidName) }

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
