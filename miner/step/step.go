// Package step decides what to do next with one VM: from what the chain says should be and what is here follows the one
// next step. Pure; it may be asked again after any step and any crash.
package step

import (
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// Desired is what the chain says should be.
type Desired struct {
	Phase vm.Phase
	// On is the desired power, which decides for a VM that was lost.
	On bool
	// Proofs tells whether the guest is to prove itself before it counts as up.
	Proofs     bool
	Seq        uint32
	Generation uint64
	RebootSeq  uint64
	// Resize is the generation that ordered another size, 0 for none; Restart tells whether a running VM has to be
	// restarted for it.
	Resize  uint64
	Restart bool
	// Rebuilt is the first instance after the last rebuild: what an earlier one made is to go.
	Rebuilt uint32
	// Released: another miner has it, or nobody.
	Released bool
}

// DesiredOf a VM that this miner holds, or has released.
func DesiredOf(v vm.VM, released bool) Desired {
	d := Desired{
		Phase: v.Status.Phase, On: v.Spec.On, Proofs: v.Spec.Agent != vm.AgentNone, Seq: v.Status.InstanceSeq,
		Generation: v.Generation, RebootSeq: v.Spec.RebootSeq, Released: released, Rebuilt: v.Status.RebuildInstance,
	}
	if v.Resize != nil {
		d.Resize, d.Restart = v.Resize.Generation, v.Resize.Restart
	}
	return d
}

// ResizeDue tells whether what runs has another size than was ordered.
func (d Desired) ResizeDue(o Observed) bool { return d.Resize > o.Sized }

// RestartDue tells whether it has to be restarted for that.
func (d Desired) RestartDue(o Observed) bool { return d.Restart && d.ResizeDue(o) }

// Observed is what is here.
type Observed struct {
	State hypervisor.State
	Stop  hypervisor.StopReason
	Seq   uint32
	// Proven: a proof of the present run was verified.
	Proven bool
	// Rebooted is the newest reboot carried out, Started the newest generation that was started.
	Rebooted uint64
	Started  uint64
	// Generation that the VM was defined for.
	Generation uint64
	// Sized is the generation whose size the VM has, or had when it ran.
	Sized uint64
	// Made is the instance that made the definition, or else the disk; 0 for neither.
	Made uint32
}

// Direction a VM is to go in. A step towards another is interrupted.
type Direction uint8

// The directions.
const (
	Stay Direction = iota
	Up
	Down
	Away
)

// Direction that is desired.
func (d Desired) Direction() Direction {
	if d.Released {
		return Away
	}
	switch d.Phase {
	case vm.Assigned, vm.Provisioning, vm.Running, vm.Rebooting:
		return Up
	case vm.Stopping, vm.Stopped, vm.Failed:
		return Down
	case vm.Terminating, vm.Terminated:
		return Away
	case vm.Lost:
		if d.On {
			return Up
		}
		return Down
	case vm.Pending, vm.Archived:
		return Stay
	default:
		return Stay
	}
}

// Step is what to do next; a closed set.
type Step uint8

const (
	// Leave it: nothing is ours to do.
	Leave Step = iota + 1
	// Announce that provisioning begins, so that the keepers release.
	Announce
	// BringUp a VM that does not run.
	BringUp
	// Revive is bringUp after the process died.
	Revive
	// Replace a VM that runs with an earlier instance's identity.
	Replace
	// Resume a paused VM.
	Resume
	// Await the guest's first proof.
	Await
	// ReportRunning with the newest proof.
	ReportRunning
	// Reboot it.
	Reboot
	// Restart it for what is fixed when it starts.
	Restart
	// Grow its disk as it runs.
	Grow
	// Rebuild it: what is here of an earlier life goes.
	Rebuild
	// ShutDown a VM that should not run.
	ShutDown
	// ReportStopped at the tenant's request.
	ReportStopped
	// ReportGuestStopped by the guest's own.
	ReportGuestStopped
	// ReportFailed that it stays off.
	ReportFailed
	// Destroy all that is here of it.
	Destroy
)

// String names the step as in a sentence.
func (s Step) String() string {
	switch s {
	case Leave:
		return "leave"
	case Announce:
		return "announce"
	case BringUp:
		return "bring up"
	case Revive:
		return "revive"
	case Replace:
		return "replace"
	case Resume:
		return "resume"
	case Await:
		return "await"
	case ReportRunning:
		return "report running"
	case Reboot:
		return "reboot"
	case Restart:
		return "restart"
	case Grow:
		return "grow"
	case Rebuild:
		return "rebuild"
	case ShutDown:
		return "shut down"
	case ReportStopped:
		return "report stopped"
	case ReportGuestStopped:
		return "report guest stopped"
	case ReportFailed:
		return "report failed"
	case Destroy:
		return "destroy"
	default:
		return fmt.Sprintf("step(%d)", uint8(s))
	}
}

// Decide gives the one next step from what is towards what should be.
func Decide(d Desired, o Observed) Step {
	if d.Released {
		return Destroy
	}
	// It was made for a later generation than the one that is known: the store is older than the VM here. Until the
	// chain answers, a running VM runs on.
	if o.State.Alive() && o.Generation > d.Generation {
		return Leave
	}
	// What is here is of a later instance than the chain is known to be at: what
	// is known is old. The chain will say.
	if o.Made > d.Seq && d.Direction() == Up {
		return Leave
	}
	if o.Made != 0 && o.Made < d.Rebuilt && d.Phase != vm.Assigned && d.Direction() == Up {
		return Rebuild
	}
	switch d.Phase {
	case vm.Pending, vm.Archived:
		return Leave
	case vm.Assigned:
		return Announce
	case vm.Provisioning:
		return decideUp(d, o)
	case vm.Running:
		return decideRunning(d, o)
	case vm.Rebooting:
		return decideRebooting(d, o)
	case vm.Stopping, vm.Stopped:
		return decideDown(o, ReportStopped)
	case vm.Failed:
		return decideDown(o, ReportFailed)
	case vm.Lost:
		if d.On {
			return decideRunning(d, o)
		}
		return decideDown(o, ReportStopped)
	case vm.Terminating, vm.Terminated:
		return Destroy
	default:
		return Leave
	}
}

// decideUp is for a VM that is to be brought up.
func decideUp(d Desired, o Observed) Step {
	if !o.State.Alive() {
		// Shut down from inside since this generation was started: that is a
		// request, not a failure. A later generation is a request to start again.
		if o.Stop == hypervisor.StopGuest && o.Started == d.Generation {
			return ReportGuestStopped
		}
		return BringUp
	}
	return decideAlive(d, o)
}

// decideAlive is for a VM with a process that should have one.
func decideAlive(d Desired, o Observed) Step {
	switch {
	case o.Seq != d.Seq:
		return Replace
	case d.RestartDue(o):
		return Restart
	case o.State == hypervisor.StatePaused:
		return Resume
	case d.Proofs && !o.Proven:
		return Await
	default:
		return ReportRunning
	}
}

// decideRunning is for a VM that was up already.
func decideRunning(d Desired, o Observed) Step {
	switch {
	case o.State.Alive():
		s := decideAlive(d, o)
		if s == ReportRunning && d.ResizeDue(o) {
			return Grow
		}
		return s
	case d.RestartDue(o):
		return BringUp // it was shut down for that
	case o.Stop == hypervisor.StopGuest:
		return ReportGuestStopped
	default:
		return Revive
	}
}

func decideRebooting(d Desired, o Observed) Step {
	switch {
	case !o.State.Alive():
		return BringUp // that is a reboot, too
	case o.Seq == d.Seq && o.Rebooted < d.RebootSeq && !d.RestartDue(o):
		return Reboot
	default:
		return decideAlive(d, o)
	}
}

func decideDown(o Observed, then Step) Step {
	if o.State.Alive() {
		return ShutDown
	}
	return then
}
