package agent

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/secrets"
	"github.com/hippius/compute/miner/seed"
)

// Reasons this agent reports beside those of core/vm.
const (
	ReasonImageChecksum    = "image_checksum"
	ReasonImageUnavailable = "image_unavailable"
	ReasonCatalogue        = "catalogue"
	ReasonNoSpace          = "no_space"
	ReasonNoRoom           = "no_room"
	ReasonHypervisorDown   = "hypervisor_down"
	ReasonSecrets          = "secrets_unavailable"
	ReasonUserData         = "user_data_invalid"
	ReasonDiskKey          = "disk_key"
	ReasonNetwork          = "network_failed"
	ReasonDisk             = "disk_failed"
	ReasonDiskMissing      = "disk_missing"
	ReasonStartFailed      = "start_failed"
	ReasonBootTimeout      = "boot_timeout"
	ReasonInternal         = "internal_error"
)

// Stages of bringing a VM up, to name where an error came from.
var (
	errCatalogue = errors.New("read catalogue")
	errUnlisted  = errors.New("not in the catalogue")
	errSecrets   = errors.New("collect secrets")
	errNetwork   = errors.New("attach network")
	errStart     = errors.New("start machine")
	errNoDisk    = errors.New("the VM's disk is not on this host")
	errDisk      = errors.New("the host's disk failed")
	errBoot      = errors.New("the guest's agent has not been heard")
)

// trouble is an error as it is reported.
type trouble struct {
	reason, message string
	// hopeless: trying again on this machine will not help.
	hopeless bool
	// patient: it will pass by itself, however long it takes, and is not held
	// against this machine.
	patient bool
}

// diagnose names an error's reason. The first kind that fits decides, the more
// telling first.
func diagnose(err error) trouble {
	t := trouble{reason: ReasonInternal, message: sentence(err)}
	for _, c := range []struct {
		kind     error
		reason   string
		hopeless bool
		patient  bool
	}{
		{hypervisor.ErrHypervisorDown, ReasonHypervisorDown, false, true},
		{image.ErrChecksum, ReasonImageChecksum, true, false},
		{errNoRoom, ReasonNoRoom, true, false},
		{image.ErrNoSpace, ReasonNoSpace, true, false},
		{hypervisor.ErrNoSpace, ReasonNoSpace, true, false},
		{seed.ErrNoSpace, ReasonNoSpace, true, false},
		{image.ErrUnavailable, ReasonImageUnavailable, false, false},
		{errUnlisted, ReasonCatalogue, true, false},
		{errCatalogue, ReasonCatalogue, false, true},
		{secrets.ErrInconsistent, ReasonSecrets, true, false},
		{errSecrets, ReasonSecrets, false, true},
		{seed.ErrUserData, ReasonUserData, true, false},
		{hypervisor.ErrWrongKey, ReasonDiskKey, true, false},
		{errNetwork, ReasonNetwork, false, false},
		{errDisk, ReasonDisk, false, false},
		{errNoDisk, ReasonDiskMissing, true, false},
		{errBoot, ReasonBootTimeout, true, false},
		{errStart, ReasonStartFailed, false, false},
		{hypervisor.ErrInvalid, ReasonInternal, true, false},
	} {
		if errors.Is(err, c.kind) {
			t.reason, t.hopeless, t.patient = c.reason, c.hopeless, c.patient
			return t
		}
	}
	return t
}

// sentence is an error as the chain takes it: one printable line in bounds.
func sentence(err error) string {
	// Both checksums must fit, whatever else went wrong beside.
	if sum := (*image.ChecksumError)(nil); errors.As(err, &sum) {
		err = sum
	}
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !text.Printable(r):
			return -1
		default:
			return r
		}
	}, err.Error())
	for len(s) > vm.MaxMessageLen {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func stage(kind, err error) error { return fmt.Errorf("%w: %w", kind, err) }
