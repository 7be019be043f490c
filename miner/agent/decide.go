package agent

import (
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// want is what the chain says should be.
type want struct {
	phase vm.Phase
	// on is the tenant's wish, which decides for a VM that was lost.
	on bool
	// proofs tells whether the guest is to prove itself before it counts as up.
	proofs     bool
	seq        uint32
	generation uint64
	rebootSeq  uint64
	// resize is the generation that ordered another size, 0 for none; restart
	// tells whether a running machine has to be restarted for it.
	resize  uint64
	restart bool
	// rebuilt is the first instance after the last rebuild: what an earlier one
	// made is to go.
	rebuilt uint32
	// released: another miner has it, or nobody.
	released bool
}

// resizeDue tells whether what runs has another size than was ordered.
func (w want) resizeDue(a is) bool { return w.resize > a.sized }

// restartDue tells whether it has to be restarted for that.
func (w want) restartDue(a is) bool { return w.restart && w.resizeDue(a) }

// is is what is here.
type is struct {
	state hypervisor.State
	stop  hypervisor.StopReason
	seq   uint32
	// proven: a proof of the present run was verified.
	proven bool
	// rebooted is the newest reboot carried out, started the newest generation
	// that was started.
	rebooted uint64
	started  uint64
	// generation that the machine was defined for.
	generation uint64
	// sized is the generation whose size the machine has, or had when it ran.
	sized uint64
	// made is the instance that made the machine, or else its disk; 0 for neither.
	made uint32
}

// step is what to do next.
type step uint8

const (
	// leave: nothing is ours to do.
	leave step = iota
	// announce that provisioning begins, so that the keepers release.
	announce
	// bringUp a machine that does not run.
	bringUp
	// revive is bringUp after the process died.
	revive
	// replace a machine that runs with an earlier instance's identity.
	replace
	// resume a paused machine.
	resume
	// await the guest's first proof.
	await
	// sayRunning, with the newest proof.
	sayRunning
	// reboot it.
	reboot
	// restart it, for what is fixed when it starts; grow its disk as it runs.
	restart
	grow
	// rebuild: what is here of an earlier life goes.
	rebuild
	// shutDown a machine that should not run.
	shutDown
	// sayStopped by the tenant's wish, sayGuestStopped by the guest's own.
	sayStopped
	sayGuestStopped
	// rest: off and silent.
	rest
	// destroy all that is here of it.
	destroy
)

// decide gives the one next step from what is towards what should be.
func decide(w want, a is) step {
	if w.released {
		return destroy
	}
	// It was made for a later wish than the one that is known: the store is older than the machine. The chain will
	// tell; until then what runs runs.
	if a.state.Alive() && a.generation > w.generation {
		return leave
	}
	// What is here is of a later instance than the chain is known to be at: what
	// is known is old. The chain will say.
	if a.made > w.seq && w.aim() == aimUp {
		return leave
	}
	if a.made != 0 && a.made < w.rebuilt && w.phase != vm.Assigned && w.aim() == aimUp {
		return rebuild
	}
	switch w.phase {
	case vm.Pending, vm.Archived:
		return leave
	case vm.Assigned:
		return announce
	case vm.Provisioning:
		return decideUp(w, a)
	case vm.Running:
		return decideRunning(w, a)
	case vm.Rebooting:
		return decideRebooting(w, a)
	case vm.Stopping, vm.Stopped:
		return decideDown(a, sayStopped)
	case vm.Failed:
		return decideDown(a, rest)
	case vm.Lost:
		if w.on {
			return decideRunning(w, a)
		}
		return decideDown(a, sayStopped)
	case vm.Terminating, vm.Terminated:
		return destroy
	default:
		return leave
	}
}

// decideUp is for a VM that is to be brought up.
func decideUp(w want, a is) step {
	if !a.state.Alive() {
		// Shut down from inside since this generation was started: that is a
		// wish, not a failure. A later generation is a wish to start again.
		if a.stop == hypervisor.StopGuest && a.started == w.generation {
			return sayGuestStopped
		}
		return bringUp
	}
	return decideAlive(w, a)
}

// decideAlive is for a machine with a process that should have one.
func decideAlive(w want, a is) step {
	switch {
	case a.seq != w.seq:
		return replace
	case w.restartDue(a):
		return restart
	case a.state == hypervisor.StatePaused:
		return resume
	case w.proofs && !a.proven:
		return await
	default:
		return sayRunning
	}
}

// decideRunning is for a VM that was up already.
func decideRunning(w want, a is) step {
	switch {
	case a.state.Alive():
		s := decideAlive(w, a)
		if s == sayRunning && w.resizeDue(a) {
			return grow
		}
		return s
	case w.restartDue(a):
		return bringUp // it was shut down for that
	case a.stop == hypervisor.StopGuest:
		return sayGuestStopped
	default:
		return revive
	}
}

func decideRebooting(w want, a is) step {
	switch {
	case !a.state.Alive():
		return bringUp // that is a reboot, too
	case a.seq == w.seq && a.rebooted < w.rebootSeq && !w.restartDue(a):
		return reboot
	default:
		return decideAlive(w, a)
	}
}

func decideDown(a is, then step) step {
	if a.state.Alive() {
		return shutDown
	}
	return then
}
