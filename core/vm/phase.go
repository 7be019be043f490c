package vm

import "fmt"

// Phase is where a VM stands in its life; a closed set with the numbers of the
// chain's messages. The zero value is no phase.
type Phase uint8

// The phases; the picture is at Next.
const (
	// Pending: accepted, waiting for a miner.
	Pending Phase = iota + 1
	// Assigned: a miner was chosen and has a deadline to begin.
	Assigned
	// Provisioning: its miner prepares and boots it.
	Provisioning
	// Running: its miner says that it runs.
	Running
	// Stopping: to be stopped; its miner has not confirmed.
	Stopping
	// Stopped: off, its disk kept on its miner.
	Stopped
	// Rebooting: to be rebooted; its miner has not confirmed.
	Rebooting
	// Failed: something went wrong, said in the reason.
	Failed
	// Lost: its host was not seen any more.
	Lost
	// Archived: its disk is in storage, no miner holds it.
	Archived
	// Terminating: to be destroyed; its miner has not confirmed.
	Terminating
	// Terminated: gone for ever.
	Terminated
)

// Phases lists every phase.
func Phases() []Phase {
	return []Phase{
		Pending, Assigned, Provisioning, Running, Stopping, Stopped,
		Rebooting, Failed, Lost, Archived, Terminating, Terminated,
	}
}

// String gives the phase's name in lower case, "phase(n)" for no phase.
func (p Phase) String() string {
	switch p {
	case Pending:
		return "pending"
	case Assigned:
		return "assigned"
	case Provisioning:
		return "provisioning"
	case Running:
		return "running"
	case Stopping:
		return "stopping"
	case Stopped:
		return "stopped"
	case Rebooting:
		return "rebooting"
	case Failed:
		return "failed"
	case Lost:
		return "lost"
	case Archived:
		return "archived"
	case Terminating:
		return "terminating"
	case Terminated:
		return "terminated"
	default:
		return fmt.Sprintf("phase(%d)", uint8(p))
	}
}

// ParsePhase is the inverse of String.
func ParsePhase(s string) (Phase, error) {
	for _, p := range Phases() {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("phase %.40q is none of the known ones", s)
}

// MarshalText gives the phase's name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (p *Phase) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePhase(string(text))
	return err
}

// Ended reports whether the VM is terminated or about to be.
func (p Phase) Ended() bool { return p == Terminating || p == Terminated }

// Coming reports whether the VM is on its way to its first start.
func (p Phase) Coming() bool { return p == Pending || p == Assigned || p == Provisioning }

// Final reports whether nothing ever follows.
func (p Phase) Final() bool { return p == Terminated }

// On reports whether the guest is, or may be, up: the phases charged at the
// running rate once it has shown itself alive.
func (p Phase) On() bool { return p == Running || p == Rebooting }

// Reasons a VM's status may carry beside its phase. Miners may add their own.
const (
	// ReasonNoCapacity: no miner that was searched has the capacity; the VM waits in the queue.
	ReasonNoCapacity = "no_capacity"
	// ReasonSecretsNeeded: the next instance's secret was not dealt yet.
	ReasonSecretsNeeded = "instance_secrets_needed"
	// ReasonRetryWait: of all miners only such that failed it have the capacity; tried again soon.
	ReasonRetryWait = "retry_wait"
	// ReasonNotProvisioned: the assigned miner did not begin in time.
	ReasonNotProvisioned = "not_provisioned_in_time"
	// ReasonBootTimeout: it did not start in time.
	ReasonBootTimeout = "boot_timeout"
	// ReasonNoProof: it was started, and its guest did not prove itself in time.
	ReasonNoProof = "no_proof"
	// ReasonNoAgent: it ran on several miners, and its guest gave no proof on any.
	ReasonNoAgent = "no_agent"
	// ReasonAttempts: provisioning failed too often.
	ReasonAttempts = "too_many_attempts"
	// ReasonCreditRunOut: the account's credit reached its hold-back.
	ReasonCreditRunOut = "credit_run_out"
	// ReasonTenant: the tenant asked for it.
	ReasonTenant = "tenant_request"
	// ReasonResize: it is restarted with another size.
	ReasonResize = "resize"
	// ReasonGuestShutdown: shut down cleanly from inside; stays off.
	ReasonGuestShutdown = "guest_shutdown"
	// ReasonGuestSilent: its guest gave no proof while its host reported it running.
	ReasonGuestSilent = "guest_silent"
	// ReasonHostGone: its host was not seen for too long, and its disk is lost with it.
	ReasonHostGone = "host_gone"
	// ReasonUnpaid: the credit held back for its disk is spent.
	ReasonUnpaid = "credit_spent"
	// ReasonDiskMissing: its host does not have its disk.
	ReasonDiskMissing = "disk_missing"
	// ReasonFetchingImage: its host fetches the image before it starts it.
	ReasonFetchingImage = "fetching_image"
	// ReasonForced: the guest did not power off when asked, and was forced off.
	ReasonForced = "forced_off"
	// ReasonHostProcessDied: the host's process died and is started again.
	ReasonHostProcessDied = "host_process_died"
)
