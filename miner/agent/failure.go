package agent

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/provision"
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
	ReasonDiskMissing      = vm.ReasonDiskMissing
	ReasonStartFailed      = "start_failed"
	ReasonBootTimeout      = "boot_timeout"
	ReasonInternal         = "internal_error"
)

// Failures beside those of the stages that package provision names.
var (
	errDisk = errors.New("the host's disk failed")
	errBoot = errors.New("the guest's agent has not been heard")
)

// failure is an error as it is reported.
type failure struct {
	reason, message string
	// permanent: trying again on this host will not help.
	permanent bool
	// transient: it will pass by itself, however long it takes, and is not held
	// against this host. Only secrets that cannot be collected are given up, too.
	transient bool
}

// diagnose names an error's reason. The first kind that fits decides, the more
// telling first.
func diagnose(err error) failure {
	f := failure{reason: ReasonInternal, message: sentence(err)}
	for _, c := range []struct {
		kind      error
		reason    string
		permanent bool
		transient bool
	}{
		{hypervisor.ErrHypervisorDown, ReasonHypervisorDown, false, true},
		{image.ErrChecksum, ReasonImageChecksum, true, false},
		{errNoCapacity, ReasonNoRoom, true, false},
		{image.ErrNoSpace, ReasonNoSpace, true, false},
		{hypervisor.ErrNoSpace, ReasonNoSpace, true, false},
		{seed.ErrNoSpace, ReasonNoSpace, true, false},
		{image.ErrUnavailable, ReasonImageUnavailable, false, false},
		{provision.ErrUnlisted, ReasonCatalogue, true, false},
		{provision.ErrCatalogue, ReasonCatalogue, false, true},
		{secrets.ErrInconsistent, ReasonSecrets, true, false},
		{provision.ErrSecrets, ReasonSecrets, false, true},
		{seed.ErrUserData, ReasonUserData, true, false},
		{hypervisor.ErrWrongKey, ReasonDiskKey, true, false},
		{provision.ErrNetwork, ReasonNetwork, false, false},
		{errDisk, ReasonDisk, false, false},
		{provision.ErrNoDisk, ReasonDiskMissing, true, false},
		{errBoot, ReasonBootTimeout, true, false},
		{provision.ErrStart, ReasonStartFailed, false, false},
		{hypervisor.ErrInvalid, ReasonInternal, true, false},
	} {
		if errors.Is(err, c.kind) {
			f.reason, f.permanent, f.transient = c.reason, c.permanent, c.transient
			return f
		}
	}
	return f
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
