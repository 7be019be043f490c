package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
)

// askEvery is how often a guest is asked until it complies: a request that
// comes before it listens is lost.
const askEvery = time.Second

// Shutdown implements hypervisor.Lifecycle.
func (d *Driver) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return hypervisor.MannerNone, err
	}
	defer unlock()
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := d.events.subscribe(listening, &d.events.subs)
	end := time.Now().Add(deadline)
	asked := false
	var again retry
	for {
		s, err := d.look(ctx, id)
		if err != nil {
			return hypervisor.MannerNone, fmt.Errorf("shut down vm %s: %w", id, err)
		}
		if !d.translate(s).State.Alive() {
			d.info(ctx, id, s) // remember how it ended
			if asked {
				return hypervisor.MannerGuest, nil
			}
			return hypervisor.MannerNone, nil
		}
		if !time.Now().Before(end) {
			return hypervisor.MannerForced, d.cut(ctx, id, s.domain)
		}
		if err := again.after(d.ask(ctx, s, func(l *lv.Libvirt) error {
			return l.DomainShutdownFlags(s.domain, lv.DomainShutdownAcpiPowerBtn)
		})); err != nil {
			return hypervisor.MannerNone, fmt.Errorf("shut down vm %s: %w", id, err)
		}
		if err := fault.Point("libvirt.asked_off"); err != nil {
			return hypervisor.MannerNone, err
		}
		asked = true
		if err := await(ctx, id, changed, min(askEvery, time.Until(end))); err != nil {
			return hypervisor.MannerNone, fmt.Errorf("shut down vm %s: %w", id, err)
		}
	}
}

// cut ends a VM from outside.
func (d *Driver) cut(ctx context.Context, id vm.ID, domain lv.Domain) error {
	err := do(ctx, d.link, func(l *lv.Libvirt) error { return l.DomainDestroy(domain) })
	if err != nil && !isInactive(err) {
		return fmt.Errorf("force vm %s off: %w", id, err)
	}
	if err := fault.Point("libvirt.forced"); err != nil {
		return err
	}
	_, err = d.Inspect(ctx, id) // remember it
	return err
}

// ask lets a VM's CPUs run and makes a request of its guest. That the
// VM ended meanwhile is no error: the caller looks again.
func (d *Driver) ask(ctx context.Context, s domainInfo, request func(*lv.Libvirt) error) error {
	err := do(ctx, d.link, func(l *lv.Libvirt) error {
		if d.translate(s).State == hypervisor.StatePaused {
			if err := d.run(l, s); err != nil {
				return err
			}
		}
		return request(l)
	})
	if isInactive(err) {
		return nil
	}
	return err
}

// retry forgives the first of two failures in a row that libvirtd reports of a request: while a process ends, libvirtd has
// only words for it, and shows the VM as running until it has looked after it.
type retry struct{ failed bool }

func (r *retry) after(err error) error {
	var said lv.Error
	if errors.As(err, &said) && !r.failed {
		r.failed = true
		return nil
	}
	r.failed = false
	return err
}

// await returns when something about id may have changed, or after a while.
func await(ctx context.Context, id vm.ID, changed <-chan vm.ID, while time.Duration) error {
	timer := time.NewTimer(while)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case got, open := <-changed:
			if open && (got == id || got == "") {
				return nil
			}
			if !open {
				changed = nil // the context has ended, too
			}
		}
	}
}

// Reboot implements hypervisor.Lifecycle. The process stays: libvirt turns the guest's
// power-off into a reset, so that a caller that dies in the middle cannot
// leave a VM that looks as if its guest wanted it off.
func (d *Driver) Reboot(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return hypervisor.MannerNone, err
	}
	defer unlock()
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	reboots := d.events.subscribe(listening, &d.events.reboots)
	end := time.Now().Add(deadline)
	var again retry
	for {
		s, err := d.look(ctx, id)
		if err != nil {
			return hypervisor.MannerNone, fmt.Errorf("reboot vm %s: %w", id, err)
		}
		if now := d.translate(s).State; !now.Alive() {
			return hypervisor.MannerNone, fmt.Errorf("reboot vm %s, which is %s: %w", id, now, hypervisor.ErrState)
		}
		if !time.Now().Before(end) {
			if err := do(ctx, d.link, func(l *lv.Libvirt) error { return l.DomainReset(s.domain, 0) }); err != nil {
				return hypervisor.MannerNone, fmt.Errorf("reset vm %s: %w", id, err)
			}
			return hypervisor.MannerForced, fault.Point("libvirt.reset")
		}
		if err := again.after(d.ask(ctx, s, func(l *lv.Libvirt) error {
			return l.DomainReboot(s.domain, lv.DomainRebootAcpiPowerBtn)
		})); err != nil {
			return hypervisor.MannerNone, fmt.Errorf("reboot vm %s: %w", id, err)
		}
		if err := fault.Point("libvirt.asked_reboot"); err != nil {
			return hypervisor.MannerNone, err
		}
		rebooted, err := heardOf(ctx, id, reboots, min(askEvery, time.Until(end)))
		if err != nil {
			return hypervisor.MannerNone, fmt.Errorf("reboot vm %s: %w", id, err)
		}
		if rebooted {
			return hypervisor.MannerGuest, nil
		}
	}
}

// heardOf waits a while for id to come through.
func heardOf(ctx context.Context, id vm.ID, reboots <-chan vm.ID, while time.Duration) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	for {
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return false, nil
		case got, open := <-reboots:
			if !open {
				return false, errors.Join(ctx.Err(), context.Canceled)
			}
			if got == id {
				return true, nil
			}
		}
	}
}
