package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// askEvery is how often a guest is asked to shut down until it does.
const askEvery = 20 * time.Millisecond

// Define implements hypervisor.Lifecycle.
func (d *Driver) Define(ctx context.Context, want hypervisor.Definition) error {
	if err := want.Validate(); err != nil {
		return err
	}
	unlock, err := d.ops.Lock(ctx, want.ID)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.up(); err != nil {
		return err
	}
	want.DiskKey = nil
	m := d.vms[want.ID]
	if m == nil {
		m = &entry{record: record{State: hypervisor.StateStopped, Since: now()}}
		d.vms[want.ID] = m
	}
	m.Definition = want
	d.events.publish(want.ID)
	return d.save(m)
}

// Start implements hypervisor.Lifecycle.
func (d *Driver) Start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	unlock, err := d.ops.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := d.get(id)
	if err != nil {
		return err
	}
	d.settle(m)
	if m.State.Alive() {
		return nil
	}
	if err := d.startable(m, key); err != nil {
		if !errors.Is(err, hypervisor.ErrNoDisk) {
			m.Stop, m.Since = hypervisor.StopStartFailed, now()
		}
		return errors.Join(fmt.Errorf("start vm %s: %w", id, err), d.save(m))
	}
	m.PID, m.State, m.Stop, m.Pause, m.Since = d.nextPID(), hypervisor.StateRunning, hypervisor.StopNone, hypervisor.PauseNone, now()
	m.life = d.begin(m.Definition, booting) //nolint:contextcheck // a VM outlives the call that starts it
	d.events.publish(id)
	return d.save(m)
}

func (d *Driver) startable(m *entry, key hypervisor.DiskKey) error {
	disk, err := d.readDisk(hypervisor.Root(m.Definition.ID))
	if err != nil {
		return err
	}
	if !bytes.Equal(disk.KeyHash, hashKey(key)) {
		return hypervisor.ErrWrongKey
	}
	return d.faults.start(m.Definition.ID)
}

// halt ends m's process. It does not wait for the guest's functions, so they
// may cause it themselves. d.mu is held.
func (d *Driver) halt(m *entry, reason hypervisor.StopReason) error {
	if m.life != nil {
		m.life.end()
		m.life, m.past = nil, m.life
	}
	m.State = hypervisor.StateStopped
	if reason == hypervisor.StopProcessDied {
		m.State = hypervisor.StateCrashed
	}
	m.Stop, m.Pause, m.PID, m.Since = reason, hypervisor.PauseNone, 0, now()
	d.events.publish(m.Definition.ID)
	return d.save(m)
}

// settle waits until nothing of m's former life runs any more. d.mu is held;
// it is released meanwhile.
func (d *Driver) settle(m *entry) {
	if past := m.past; past != nil {
		d.mu.Unlock()
		past.wait()
		d.mu.Lock()
	}
}

// Shutdown implements hypervisor.Lifecycle.
func (d *Driver) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	return d.bringDown(ctx, id, deadline, false)
}

// Reboot implements hypervisor.Lifecycle.
func (d *Driver) Reboot(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	return d.bringDown(ctx, id, deadline, true)
}

func (d *Driver) bringDown(ctx context.Context, id vm.ID, deadline time.Duration, restart bool) (hypervisor.Manner, error) {
	unlock, err := d.ops.Lock(ctx, id)
	if err != nil {
		return hypervisor.MannerNone, err
	}
	defer unlock()
	end := time.Now().Add(deadline)
	for asked := false; ; asked = true {
		manner, done, err := d.tryDown(id, restart, asked, !time.Now().Before(end)) //nolint:contextcheck // nor does a VM end with the call that reboots it
		if done || err != nil {
			return manner, err
		}
		select {
		case <-ctx.Done():
			return hypervisor.MannerNone, fmt.Errorf("bring down vm %s: %w", id, ctx.Err())
		case <-time.After(min(askEvery, time.Until(end))):
		}
	}
}

// tryDown asks the guest once, or forces it off.
func (d *Driver) tryDown(id vm.ID, restart, asked, cut bool) (manner hypervisor.Manner, done bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := d.get(id)
	if err != nil {
		return hypervisor.MannerNone, false, err
	}
	switch {
	case !m.State.Alive() && restart:
		return hypervisor.MannerNone, false, fmt.Errorf("reboot vm %s, which is %s: %w", id, m.State, hypervisor.ErrState)
	case !m.State.Alive() && asked: // by itself, meanwhile
		return hypervisor.MannerGuest, true, nil
	case !m.State.Alive():
		return hypervisor.MannerNone, true, nil
	case cut:
		manner = hypervisor.MannerForced
	default:
		d.setPaused(m, false)
		if !m.life.listens() || d.faults.deaf[id] {
			return hypervisor.MannerNone, false, d.save(m)
		}
		manner = hypervisor.MannerGuest
	}
	if restart {
		m.life.end()
		m.past = m.life
		d.settle(m)
		if !m.State.Alive() { // its process died in between
			return hypervisor.MannerNone, false, fmt.Errorf("reboot vm %s, which is %s: %w", id, m.State, hypervisor.ErrState)
		}
		m.life = d.begin(m.Definition, booting)
		m.State, m.Pause, m.Since = hypervisor.StateRunning, hypervisor.PauseNone, now()
		d.events.publish(id)
		return manner, true, d.save(m)
	}
	reason := hypervisor.StopGuest
	if manner == hypervisor.MannerForced {
		reason = hypervisor.StopForced
	}
	err = d.halt(m, reason)
	d.settle(m)
	return manner, true, err
}

func (d *Driver) setPaused(m *entry, paused bool) {
	state, reason := hypervisor.StateRunning, hypervisor.PauseNone
	if paused {
		state, reason = hypervisor.StatePaused, hypervisor.PauseRequested
	}
	if m.State != state {
		m.State, m.Pause, m.Since = state, reason, now()
		m.life.pause(paused)
		d.events.publish(m.Definition.ID)
	}
}

// Suspend implements hypervisor.Lifecycle.
func (d *Driver) Suspend(ctx context.Context, id vm.ID) error {
	return d.switchPause(ctx, id, true)
}

// Resume implements hypervisor.Lifecycle.
func (d *Driver) Resume(ctx context.Context, id vm.ID) error {
	return d.switchPause(ctx, id, false)
}

func (d *Driver) switchPause(ctx context.Context, id vm.ID, paused bool) error {
	unlock, err := d.ops.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := d.get(id)
	if err != nil {
		return err
	}
	if !m.State.Alive() {
		return fmt.Errorf("pause or resume vm %s, which is %s: %w", id, m.State, hypervisor.ErrState)
	}
	d.setPaused(m, paused)
	return d.save(m)
}

// Destroy implements hypervisor.Lifecycle.
func (d *Driver) Destroy(ctx context.Context, id vm.ID) error {
	unlock, err := d.ops.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.up(); err != nil {
		return err
	}
	if m := d.vms[id]; m != nil {
		if err := d.halt(m, hypervisor.StopForced); err != nil {
			return err
		}
		d.settle(m)
		if err := d.forget(id); err != nil {
			return err
		}
		delete(d.faults.deaf, id)
		d.events.publish(id)
	}
	return d.trashAll(id)
}

// Inspect implements hypervisor.Inventory.
func (d *Driver) Inspect(_ context.Context, id vm.ID) (hypervisor.Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := d.get(id)
	if errors.Is(err, hypervisor.ErrNotFound) {
		return hypervisor.Info{ID: id, State: hypervisor.StateAbsent}, nil
	}
	if err != nil {
		return hypervisor.Info{}, err
	}
	return m.info(), nil
}

// List implements hypervisor.Inventory.
func (d *Driver) List(context.Context) ([]hypervisor.Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.up(); err != nil {
		return nil, err
	}
	infos := make([]hypervisor.Info, 0, len(d.vms))
	for _, id := range slices.Sorted(maps.Keys(d.vms)) {
		infos = append(infos, d.vms[id].info())
	}
	return infos, nil
}

// Stats implements hypervisor.Inventory.
func (d *Driver) Stats(_ context.Context, id vm.ID) (hypervisor.Stats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := d.get(id)
	if err != nil {
		return hypervisor.Stats{}, err
	}
	var s hypervisor.Stats
	if disk, err := d.readDisk(hypervisor.Root(id)); err == nil {
		s.DiskAllocated = emptyDiskBytes + disk.Boots*512
	}
	if m.life != nil {
		s.CPUTime = time.Since(m.Since)
		s.MemoryBytes = m.Definition.MemoryMiB << 20
		s.DiskReadOps, s.DiskReadBytes, s.DiskWriteOps, s.DiskWritten = 1, 512, 1, 512 // the boot counter
	}
	return s, nil
}
