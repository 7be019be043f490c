package libvirt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
)

// Define implements hypervisor.Lifecycle.
func (d *Driver) Define(ctx context.Context, m hypervisor.Definition) error {
	if err := m.Validate(); err != nil {
		return err
	}
	unlock, err := d.lock(ctx, m.ID)
	if err != nil {
		return err
	}
	defer unlock()
	text, err := d.domainXML(m)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.vmDir(m.ID), 0o711); err != nil { //nolint:gosec // nothing in it is readable
		return fmt.Errorf("define vm %s: %w", m.ID, err)
	}
	if err := fault.Point("libvirt.dir_made"); err != nil {
		return err
	}
	err = do(ctx, d.link, func(l *lv.Libvirt) error {
		_, err := l.DomainDefineXMLFlags(text, lv.DomainDefineValidate)
		return err
	})
	if err != nil {
		return fmt.Errorf("define vm %s: %w", m.ID, err)
	}
	return fault.Point("libvirt.defined")
}

// Start implements hypervisor.Lifecycle. What it has to take back when ctx ends may take longer: it returns before that,
// and the VM's turn ends with it.
func (d *Driver) Start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	began := d.link.begin(func() {
		err := d.start(ctx, id, key)
		unlock()
		done <- err
	})
	if !began {
		unlock()
		return fmt.Errorf("start vm %s: %w", id, errClosed)
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("start vm %s: %w", id, ctx.Err())
	}
}

func (d *Driver) start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	s, err := d.look(ctx, id)
	if err != nil {
		return fmt.Errorf("start vm %s: %w", id, err)
	}
	if d.translate(s).State.Alive() {
		return nil
	}
	if has, err := exists(d.root(id)); err != nil || !has {
		return errors.Join(fmt.Errorf("start vm %s: %w", id, hypervisor.ErrNoDisk), err)
	}
	if err := d.user.makeDir(d.socketDir(id)); err != nil {
		return fmt.Errorf("start vm %s: %w", id, err)
	}
	err = d.withSecret(ctx, id, key, func(ctx context.Context) error {
		return do(ctx, d.link, func(l *lv.Libvirt) error {
			domain, err := l.DomainCreateWithFlags(s.domain, uint32(lv.DomainStartPaused))
			if err != nil {
				return err
			}
			s.domain = domain // by now it has a number
			return fault.Point("libvirt.created")
		})
	})
	if err == nil {
		if err = do(ctx, d.link, func(l *lv.Libvirt) error { return d.run(l, s) }); err != nil {
			err = errors.Join(err, d.cut(context.WithoutCancel(ctx), id, s.domain)) // not left half started
		}
	}
	if err != nil {
		return fmt.Errorf("start vm %s: %w", id, d.explainStart(err))
	}
	_, err = d.Inspect(ctx, id) // remember it ran
	return err
}

// run lets a paused VM's CPUs run, which nothing else does, and not before
// its process's memory is limited. The limit is set on the process and not in
// the definition because libvirt would then raise what the process may lock,
// too, which needs a capability that libvirtd in a container lacks.
func (d *Driver) run(l *lv.Libvirt, s domainInfo) error {
	limit := lv.TypedParam{
		Field: "hard_limit",
		Value: *lv.NewTypedParamValueUllong(s.memory + d.host.OverheadMiB<<10),
	}
	if err := l.DomainSetMemoryParameters(s.domain, []lv.TypedParam{limit}, uint32(lv.DomainAffectLive)); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := fault.Point("libvirt.limited"); err != nil {
		return err
	}
	if err := l.DomainResume(s.domain); err != nil {
		return err
	}
	return fault.Point("libvirt.resumed")
}

// explainStart recognizes the failures callers act upon. QEMU has only words
// for them.
func (d *Driver) explainStart(err error) error {
	var said lv.Error
	if !errors.As(err, &said) {
		return err
	}
	switch {
	case strings.Contains(said.Message, wrongKeyWords):
		return fmt.Errorf("%w: %w", hypervisor.ErrWrongKey, err)
	case d.noSpace(0) != nil:
		return fmt.Errorf("%w: %w", hypervisor.ErrNoSpace, err)
	}
	return err
}

// withSecret runs f while libvirtd knows the VM's disk key, in a secret
// that is on no disk and that no client can read back.
func (d *Driver) withSecret(ctx context.Context, id vm.ID, key hypervisor.DiskKey, f func(context.Context) error) error {
	text, err := (&libvirtxml.Secret{
		Ephemeral: "yes", Private: "yes", UUID: secretUUID(id),
		Description: "disk of a VM that is being started",
		Usage:       &libvirtxml.SecretUsage{Type: "volume", Volume: d.root(id)},
	}).Marshal()
	if err != nil {
		return fmt.Errorf("describe secret: %w", err)
	}
	secret, err := query(ctx, d.link, func(l *lv.Libvirt) (lv.Secret, error) {
		secret, err := l.SecretDefineXML(text, 0)
		if err != nil {
			return secret, err
		}
		return secret, l.SecretSetValue(secret, key.Passphrase(), 0)
	})
	if err != nil {
		return fmt.Errorf("hand over the disk key: %w", err)
	}
	if err = fault.Point("libvirt.secret_set"); err == nil {
		err = f(ctx)
	}
	// The caller giving up is no reason to leave the key behind.
	return errors.Join(err, do(context.WithoutCancel(ctx), d.link, func(l *lv.Libvirt) error {
		return l.SecretUndefine(secret)
	}))
}

// dropSecrets has libvirtd forget the disk keys of starts that were cut short by
// the end of the process: nothing else would.
func (d *Driver) dropSecrets(ctx context.Context) error {
	secrets, err := query(ctx, d.link, func(l *lv.Libvirt) ([]lv.Secret, error) {
		secrets, _, err := l.ConnectListAllSecrets(1, 0)
		return secrets, err
	})
	if err != nil {
		return fmt.Errorf("list secrets: %w", err)
	}
	var errs []error
	for _, secret := range secrets {
		id, err := vm.ParseID(filepath.Base(filepath.Dir(secret.UsageID)))
		if err != nil || secret.UsageID != d.root(id) {
			continue // another's
		}
		errs = append(errs, d.dropSecret(ctx, id, secret))
	}
	return errors.Join(errs...)
}

func (d *Driver) dropSecret(ctx context.Context, id vm.ID, secret lv.Secret) error {
	unlock, err := d.lock(ctx, id) // a start in progress needs its own
	if err != nil {
		return err
	}
	defer unlock()
	err = do(ctx, d.link, func(l *lv.Libvirt) error { return l.SecretUndefine(secret) })
	if said := (lv.Error{}); errors.As(err, &said) && lv.ErrorNumber(said.Code) == lv.ErrNoSecret { //nolint:gosec // codes are small
		return nil // that start has ended meanwhile
	}
	return err
}

// Suspend implements hypervisor.Lifecycle.
func (d *Driver) Suspend(ctx context.Context, id vm.ID) error {
	return d.switchPause(ctx, id, hypervisor.StatePaused, func(l *lv.Libvirt, s domainInfo) error { return l.DomainSuspend(s.domain) })
}

// Resume implements hypervisor.Lifecycle.
func (d *Driver) Resume(ctx context.Context, id vm.ID) error {
	return d.switchPause(ctx, id, hypervisor.StateRunning, d.run)
}

func (d *Driver) switchPause(ctx context.Context, id vm.ID, want hypervisor.State, change func(*lv.Libvirt, domainInfo) error) error {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := d.look(ctx, id)
	if err != nil {
		return fmt.Errorf("pause or resume vm %s: %w", id, err)
	}
	switch now := d.translate(s).State; {
	case !now.Alive():
		return fmt.Errorf("pause or resume vm %s, which is %s: %w", id, now, hypervisor.ErrState)
	case now == want:
		return nil
	}
	if err := do(ctx, d.link, func(l *lv.Libvirt) error { return change(l, s) }); err != nil {
		return fmt.Errorf("pause or resume vm %s: %w", id, err)
	}
	return nil
}

// Destroy implements hypervisor.Lifecycle.
func (d *Driver) Destroy(ctx context.Context, id vm.ID) error {
	unlock, err := d.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := d.look(ctx, id)
	switch {
	case errors.Is(err, hypervisor.ErrNotFound):
	case err != nil:
		return fmt.Errorf("destroy vm %s: %w", id, err)
	default:
		err := do(ctx, d.link, func(l *lv.Libvirt) error {
			if d.translate(s).State.Alive() {
				if err := l.DomainDestroy(s.domain); err != nil && !isInactive(err) {
					return err
				}
				if err := fault.Point("libvirt.killed"); err != nil {
					return err
				}
			}
			return l.DomainUndefineFlags(s.domain, lv.DomainUndefineNvram|lv.DomainUndefineManagedSave|
				lv.DomainUndefineSnapshotsMetadata|lv.DomainUndefineCheckpointsMetadata)
		})
		if err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
			return fmt.Errorf("destroy vm %s: %w", id, err)
		}
	}
	if err := fault.Point("libvirt.undefined"); err != nil {
		return err
	}
	d.seen.forget(id)
	if err := errors.Join(d.trashAll(id), os.RemoveAll(d.vmDir(id)), os.RemoveAll(d.socketDir(id))); err != nil {
		return fmt.Errorf("destroy vm %s: %w", id, err)
	}
	d.events.publish(id)
	return fault.Point("libvirt.removed")
}

// isInactive recognizes libvirt's answer to killing what does not run.
func isInactive(err error) bool {
	var said lv.Error
	return errors.As(err, &said) && lv.ErrorNumber(said.Code) == lv.ErrOperationInvalid //nolint:gosec // codes are small
}
