package fake

import (
	"errors"
	"fmt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// faults are what goes wrong. Driver.mu guards them.
type faults struct {
	down     bool
	full     bool
	room     uint64
	failNext map[vm.ID]int // starts still to fail
	deaf     map[vm.ID]bool
}

var errStartFault = errors.New("the process ended before the guest ran")

func (f *faults) start(id vm.ID) error {
	if f.failNext[id] > 0 {
		f.failNext[id]--
		return errStartFault
	}
	if f.full {
		return hypervisor.ErrNoSpace
	}
	return nil
}

// SetHypervisorDown makes the daemon vanish or come back. VMs run on.
func (d *Driver) SetHypervisorDown(down bool) {
	d.mu.Lock()
	d.faults.down = down
	d.mu.Unlock()
	d.events.publish("")
}

// SetNoSpace fills the host's disk or makes room.
func (d *Driver) SetNoSpace(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.full = full
}

// SetRoom sets the bytes that all disks together have, those in the trash included; 0 for no bound but 1 PiB.
func (d *Driver) SetRoom(bytes uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults.room = bytes
}

// FailStarts makes the next n starts of id fail.
func (d *Driver) FailStarts(id vm.ID, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults.failNext == nil {
		d.faults.failNext = make(map[vm.ID]int)
	}
	d.faults.failNext[id] = n
}

// SetIgnoreACPI makes the guest of id deaf to requests to shut down.
func (d *Driver) SetIgnoreACPI(id vm.ID, deaf bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults.deaf == nil {
		d.faults.deaf = make(map[vm.ID]bool)
	}
	d.faults.deaf[id] = deaf
}

// KillProcess kills the process of id, as an operator's kill -9 would.
func (d *Driver) KillProcess(id vm.ID) error {
	return d.stopFromInside(id, hypervisor.StopProcessDied)
}

// PowerOff is the guest of id powering itself off; a Guest function may call
// it.
func (d *Driver) PowerOff(id vm.ID) error { return d.stopFromInside(id, hypervisor.StopGuest) }

func (d *Driver) stopFromInside(id vm.ID, reason hypervisor.StopReason) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.vms[id]
	if m == nil || !m.State.Alive() {
		return fmt.Errorf("vm %s has no process: %w", id, hypervisor.ErrState)
	}
	return d.halt(m, reason)
}

// PauseForSpace pauses id as a full host disk would.
func (d *Driver) PauseForSpace(id vm.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.vms[id]
	if m == nil || m.State != hypervisor.StateRunning {
		return fmt.Errorf("vm %s does not run: %w", id, hypervisor.ErrState)
	}
	m.State, m.Pause, m.Since = hypervisor.StatePaused, hypervisor.PauseNoSpace, now()
	m.life.pause(true)
	d.events.publish(id)
	return d.save(m)
}
