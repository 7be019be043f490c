package vm

import "fmt"

// Actor is who causes an event.
type Actor uint8

// The actors.
const (
	// Tenant owns the VM and signs for it.
	Tenant Actor = iota + 1
	// Miner holds the VM and reports on it.
	Miner
	// Chain is the validators' own doing, at the end of a block.
	Chain
)

// String names the actor.
func (a Actor) String() string {
	switch a {
	case Tenant:
		return "tenant"
	case Miner:
		return "miner"
	case Chain:
		return "chain"
	default:
		return fmt.Sprintf("actor(%d)", uint8(a))
	}
}

// Event is what may happen to a VM; a closed set.
type Event uint8

// The events. Report events are what a VM's miner says it sees.
const (
	Start Event = iota + 1
	Stop
	Reboot
	// Resize: another size, for which what runs needs no restart.
	Resize
	// ResizeRestart: another size, for which it is restarted.
	ResizeRestart
	// Rebuild: a blank disk from an image, as the next instance.
	Rebuild
	Terminate

	// Assign: a miner was chosen.
	Assign
	// Unassign: the assigned miner missed its deadline, or is not asked again as a start hung on it.
	Unassign
	// Retry: a VM without data is placed anew after a failure.
	Retry
	// GiveUp: no further attempt is made.
	GiveUp
	// RunOut: the account's credit ran out.
	RunOut
	// TimeOut: its guest did not prove itself in time.
	TimeOut
	// RebootSilent: its guest gives no proof; it is rebooted.
	RebootSilent
	// StopSilent: its guest gives no proof; it is stopped.
	StopSilent
	// Lose: its host is no longer seen.
	Lose
	// Archive: its disk went into storage.
	Archive
	// Release: its miner is gone for good and will never confirm.
	Release
	// EndUnpaid: the credit that its disk was kept for is spent.
	EndUnpaid

	ReportProvisioning
	ReportRunning
	ReportStopping
	ReportStopped
	ReportRebooting
	ReportFailed
	ReportTerminated
)

// Events lists every event.
func Events() []Event {
	all := make([]Event, 0, ReportTerminated)
	for e := Start; e <= ReportTerminated; e++ {
		all = append(all, e)
	}
	return all
}

// By is the only actor that may cause the event.
func (e Event) By() Actor {
	switch e {
	case Start, Stop, Reboot, Resize, ResizeRestart, Rebuild, Terminate:
		return Tenant
	case Assign, Unassign, Retry, GiveUp, RunOut, TimeOut, RebootSilent, StopSilent, Lose, Archive, Release, EndUnpaid:
		return Chain
	case ReportProvisioning, ReportRunning, ReportStopping, ReportStopped,
		ReportRebooting, ReportFailed, ReportTerminated:
		return Miner
	default:
		return 0
	}
}

// String names the event as in a sentence.
func (e Event) String() string {
	switch e {
	case Start:
		return "start"
	case Stop:
		return "stop"
	case Reboot:
		return "reboot"
	case Resize:
		return "resize"
	case ResizeRestart:
		return "resize with a restart"
	case Rebuild:
		return "rebuild"
	case Terminate:
		return "terminate"
	case Assign:
		return "assign"
	case Unassign:
		return "unassign"
	case Retry:
		return "retry"
	case GiveUp:
		return "give up"
	case RunOut:
		return "run out of credit"
	case TimeOut:
		return "time out"
	case RebootSilent:
		return "reboot for silence"
	case StopSilent:
		return "stop for silence"
	case Lose:
		return "lose"
	case Archive:
		return "archive"
	case Release:
		return "release"
	case EndUnpaid:
		return "end for lack of credit"
	case ReportProvisioning:
		return "report provisioning"
	case ReportRunning:
		return "report running"
	case ReportStopping:
		return "report stopping"
	case ReportStopped:
		return "report stopped"
	case ReportRebooting:
		return "report rebooting"
	case ReportFailed:
		return "report failed"
	case ReportTerminated:
		return "report terminated"
	default:
		return fmt.Sprintf("event(%d)", uint8(e))
	}
}

// ReportOf is the event of a miner reporting a phase; false for a phase that
// no miner may report.
func ReportOf(p Phase) (Event, bool) {
	switch p {
	case Provisioning:
		return ReportProvisioning, true
	case Running:
		return ReportRunning, true
	case Stopping:
		return ReportStopping, true
	case Stopped:
		return ReportStopped, true
	case Rebooting:
		return ReportRebooting, true
	case Failed:
		return ReportFailed, true
	case Terminated:
		return ReportTerminated, true
	case Pending, Assigned, Lost, Archived, Terminating:
		return 0, false
	default:
		return 0, false
	}
}
