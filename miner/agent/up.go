package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/undo"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/seed"
)

// announce says that provisioning begins: the keepers release secrets only
// then. The image is fetched meanwhile.
func (a *Agent) announce(ctx context.Context, u *unit, r record) error {
	a.say(u, r, vm.Provisioning, "", "")
	b, err := a.plan(ctx, r)
	if err != nil {
		return err
	}
	if err := a.admit(r, b); err != nil {
		return err
	}
	return fault.Point("agent.planned")
}

// bringUp starts a machine that does not run, making what it lacks. What it
// made is taken back if it fails, but for the disk, which the next try needs.
func (a *Agent) bringUp(ctx context.Context, u *unit, r record) (err error) {
	id := r.vm.ID
	seq := r.vm.Status.InstanceSeq
	if _, said := a.reporter.Last(id); !said {
		a.say(u, r, upPhase(r.want().phase), "", "") // the order was heard
	}
	var own opened
	var b built
	g, both := errgroup.WithContext(ctx)
	g.Go(func() (err error) { own, err = a.collect(both, u, r, seq); return err })
	g.Go(func() (err error) { b, err = a.plan(both, r); return err })
	if err := g.Wait(); err != nil {
		return err
	}
	if err := a.admit(r, b); err != nil {
		return err
	}
	apps, err := a.apps(ctx, r)
	if err != nil {
		return err
	}
	if err := fault.Point("agent.collected"); err != nil {
		return err
	}

	var taken undo.Stack
	defer taken.Fail(ctx, &err)
	u.resting = false
	nic, err := a.Network.Attach(ctx, a.port(r, b.Limits))
	if err != nil {
		return stage(errNetwork, err)
	}
	taken.Add("detach network", func(ctx context.Context) error {
		return errors.Join(a.Network.Detach(ctx, id), fault.Point("agent.undone_network"))
	})
	if err := fault.Point("agent.attached"); err != nil {
		return err
	}
	path, err := a.Seeds.Put(a.seed(r, own, nic, apps, a.meshNow(ctx, r.vm.Owner)))
	if err != nil {
		return err
	}
	taken.Add("remove seed", func(context.Context) error {
		return errors.Join(a.Seeds.Remove(id), fault.Point("agent.undone_seed"))
	})
	if err := fault.Point("agent.seeded"); err != nil {
		return err
	}
	m := b.machine()
	m.ID, m.InstanceSeq, m.Generation, m.Name = id, seq, r.vm.Generation, r.vm.Spec.Name
	m.Seed, m.AgentISO, m.Tap, m.MAC = path, a.c.AgentISO, nic.Tap, nic.MAC
	if err := a.Driver.Define(ctx, m); err != nil {
		return stage(errStart, err)
	}
	if err := fault.Point("agent.defined"); err != nil {
		return err
	}
	key, err := a.disk(ctx, u, r, m, b, own)
	if err != nil {
		return stage(errStart, err)
	}
	err = a.Driver.Start(ctx, id, key)
	if err == nil || a.mayRun(ctx, id) {
		taken.Success() // what runs needs its tap and its seed
	}
	if err != nil {
		return stage(errStart, err)
	}
	if err := fault.Point("agent.started"); err != nil {
		return err
	}
	return a.started(ctx, u, r, b.Limits)
}

// mayRun tells whether a machine whose start failed has a process after all, or
// may have one for all that can be seen.
func (a *Agent) mayRun(ctx context.Context, id vm.ID) bool {
	info, err := a.Driver.Inspect(ctx, id)
	return err != nil || info.State.Alive()
}

// started notes that a generation was started, and listens to its guest.
func (a *Agent) started(ctx context.Context, u *unit, r record, limits hypervisor.Limits) error {
	w := r.want()
	err := a.State.note(r.vm.ID, func(l *local) { l.Started, l.Rebooted, l.Sized = w.generation, w.rebootSeq, w.generation })
	if err != nil {
		return err
	}
	if err := fault.Point("agent.start_noted"); err != nil {
		return err
	}
	u.closeChannel() // of an earlier process
	// A hypervisor may set up the interface it opens in its own way, as libvirt
	// does: only now does the bandwidth's cap stay.
	_, err = a.Network.Attach(ctx, a.port(r, limits))
	if u.adopted = err == nil; err != nil {
		a.Log.Error("attach network of started machine", "vm_id", r.vm.ID, "error", err) // adopt tries again
	}
	info, err := a.Driver.Inspect(ctx, r.vm.ID)
	if err != nil {
		return err
	}
	a.keepChannel(u, r, info) //nolint:contextcheck // it lasts as long as the machine runs
	a.Log.Info("machine started", "vm_id", r.vm.ID, "instance_seq", w.seq, "generation", w.generation)
	if !w.proofs {
		a.loop.Poke(r.vm.ID)
	}
	return nil
}

// disk makes the disk if there is none, or lets it grow to what is wanted, and
// gives the key it opens with: that of the instance which made it.
func (a *Agent) disk(ctx context.Context, u *unit, r record, m hypervisor.Machine, b built, own opened) (hypervisor.DiskKey, error) {
	has, err := a.Driver.HasDisk(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	m.DiskKey = own.bundle.DiskKey
	if seq := r.diskSeq(); has && seq != 0 && seq != m.InstanceSeq {
		older, err := a.collect(ctx, u, r, seq)
		if err != nil {
			return nil, err
		}
		m.DiskKey = older.bundle.DiskKey
	}
	if has {
		return m.DiskKey, a.refit(ctx, r, b, m.DiskKey)
	}
	if r.hasData() {
		return nil, fmt.Errorf("%w; a blank one is never started in its place", errNoDisk)
	}
	// Noted first: a disk whose making and maker's number are out of step
	// could not be opened.
	err = a.State.note(m.ID, func(l *local) { l.DiskSeq, l.Built = m.InstanceSeq, &b })
	if err != nil {
		return nil, err
	}
	if err := fault.Point("agent.disk_noted"); err != nil {
		return nil, err
	}
	if err := a.Driver.CreateDisk(ctx, m); err != nil {
		return nil, err
	}
	return m.DiskKey, fault.Point("agent.disk_made")
}

// collect gives the secrets of an instance, asking the keepers once.
func (a *Agent) collect(ctx context.Context, u *unit, r record, seq uint32) (opened, error) {
	u.mu.Lock()
	s, ok := u.bundles[seq]
	u.mu.Unlock()
	if ok {
		return s, nil
	}
	bundle, userData, err := a.Secrets.Collect(ctx, r.vm.ID, seq)
	if err != nil {
		return opened{}, stage(errSecrets, err)
	}
	s = opened{bundle: bundle, userData: userData}
	u.mu.Lock()
	u.bundles[seq] = s
	u.mu.Unlock()
	return s, nil
}

func (a *Agent) port(r record, l hypervisor.Limits) Port {
	return Port{ID: r.vm.ID, Tenant: r.vm.Owner, BitsPerSecond: l.NetworkBitsPerSec}
}

// seed is the content of the VM's own CD.
func (a *Agent) seed(r record, own opened, nic NIC, apps []seed.App, mesh wire.Mesh) seed.Seed {
	b := own.bundle
	cfg := wire.Config{
		ChainID: a.c.ChainID, VMID: r.vm.ID, Seq: b.Seq, ProofKey: b.ProofKey,
		MeshCA: b.MeshCA, MeshCert: b.MeshCert, MeshKey: b.MeshKey,
		SSHHostKey: b.SSHHostKey, SSHHostCert: b.SSHHostCert, Mesh: mesh,
	}
	return seed.Seed{
		VMID: r.vm.ID, Name: r.vm.Spec.Name, AuthorizedKeys: r.vm.AuthorizedKeys,
		Network: seed.Network{MAC: nic.MAC, Address: nic.Address, Gateway: nic.Gateway, DNS: nic.DNS, MTU: nic.MTU},
		Apps:    apps, UserData: own.userData, Guest: cfg,
	}
}

// revive starts a machine again whose process died. Without its secrets in
// memory the chain is told first: the keepers release to one that provisions.
func (a *Agent) revive(ctx context.Context, u *unit, r record, info hypervisor.Info) error {
	a.Log.Warn("machine's process died", "vm_id", r.vm.ID, "state", string(info.State), "stop_reason", string(info.StopReason))
	a.say(u, r, vm.Provisioning, vm.ReasonHostProcessDied, "the machine's process died on the host; it is started again")
	u.mu.Lock()
	_, known := u.bundles[r.vm.Status.InstanceSeq]
	u.mu.Unlock()
	if !known {
		return nil // its phase is Provisioning soon
	}
	return a.bringUp(ctx, u, r)
}

// adopt takes a running machine over, and holds on to it: each time its network is verified, and made right if others
// have altered it, and its guest is listened to.
func (a *Agent) adopt(ctx context.Context, u *unit, r record, info hypervisor.Info) {
	u.resting = false
	if !u.adopted {
		a.remember(u, r.vm.ID)
	}
	if r.local.Built != nil {
		_, err := a.Network.Attach(ctx, a.port(r, r.local.Built.Limits))
		if err == nil && !u.adopted {
			err = fault.Point("agent.adopted")
		}
		switch {
		case err != nil: // it runs on: a tap without its rules is down
			a.Log.Error("attach network of running machine", "vm_id", r.vm.ID, "error", err)
		case !u.adopted:
			u.adopted = true
			a.Log.Info("machine adopted", "vm_id", r.vm.ID, "instance_seq", info.InstanceSeq)
		}
	}
	a.keepChannel(u, r, info) //nolint:contextcheck // it lasts as long as the machine runs
}

// await the guest: a VM on its way up is given time, one that was up is
// reported as it was.
func (a *Agent) await(u *unit, r record) error {
	w := r.want()
	if w.phase == vm.Running || w.phase == vm.Lost {
		a.say(u, r, vm.Running, "", "")
		return nil
	}
	// Since this agent first saw it: a clock that was set says nothing of how long a guest has had.
	if time.Since(u.linkedAt()) > a.c.BootTimeout {
		if l := u.getChannel(); l != nil && l.Info().Unsupported != "" {
			return fmt.Errorf("%w: %s", errBoot, l.Info().Unsupported)
		}
		return fmt.Errorf("%w within %s of the machine's start; see its console", errBoot, a.c.BootTimeout)
	}
	if w.phase == vm.Provisioning && u.troubleSince.IsZero() {
		return nil // it was announced, or died: either way it is said
	}
	u.troubleSince = time.Time{}
	a.say(u, r, w.phase, "", "")
	return nil
}

// resume lets a paused machine run. One that the host's disk paused may pause
// again at once: that is told, and tried later and later.
func (a *Agent) resume(ctx context.Context, r record, info hypervisor.Info) error {
	if err := a.Driver.Resume(ctx, r.vm.ID); err != nil {
		return err
	}
	if err := fault.Point("agent.resumed"); err != nil {
		return err
	}
	switch info.PauseReason {
	case hypervisor.PauseNoSpace:
		return fmt.Errorf("machine was paused: %w", hypervisor.ErrNoSpace)
	case hypervisor.PauseIOError:
		return fmt.Errorf("machine was paused: %w", errDisk)
	case hypervisor.PauseNone, hypervisor.PauseRequested, hypervisor.PauseOther:
	}
	return nil
}

// reboot restarts the guest, and hears it anew.
func (a *Agent) reboot(ctx context.Context, u *unit, r record) error {
	seq := r.vm.Spec.RebootSeq
	manner, err := a.Driver.Reboot(ctx, r.vm.ID, a.c.StopTimeout)
	if err != nil {
		return err
	}
	a.Log.Info("machine rebooted", "vm_id", r.vm.ID, "manner", string(manner), "reboot_seq", seq)
	if err := fault.Point("agent.rebooted"); err != nil {
		return err
	}
	u.closeChannel()
	if err := a.State.note(r.vm.ID, func(l *local) { l.Rebooted = seq }); err != nil {
		return err
	}
	return fault.Point("agent.reboot_noted")
}
