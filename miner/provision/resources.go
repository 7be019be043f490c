package provision

import (
	"context"
	"errors"
	"fmt"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/seed"
)

// tap is a VM's way out, with its rules.
type tap struct{ network Network }

func (t tap) Ensure(ctx context.Context, n *Needs) (err error) {
	n.nic, err = t.network.Attach(ctx, Port{ID: n.VM.ID, Tenant: n.VM.Owner, BitsPerSecond: n.Built.Limits.NetworkBitsPerSec})
	if err != nil {
		return stage(ErrNetwork, err)
	}
	return fault.Point("agent.attached")
}

func (t tap) Release(ctx context.Context, id vm.ID, why Reason) error {
	if err := t.network.Detach(ctx, id); err != nil {
		return stage(ErrNetwork, err)
	}
	switch why {
	case Undone:
		return fault.Point("agent.undone_network")
	case Off:
		return fault.Point("agent.detached")
	case Gone:
		return fault.Point("agent.cleared_network")
	default:
		return nil
	}
}

// cd is a VM's own seed. It holds secrets, and is there only while the VM runs.
type cd struct {
	seeds   Seeds
	chainID string
}

func (c cd) Ensure(ctx context.Context, n *Needs) (err error) {
	if n.Running {
		return nil
	}
	v, b := n.VM, n.own.bundle
	n.cd, err = c.seeds.Put(seed.Seed{
		VMID: v.ID, Name: v.Spec.Name, AuthorizedKeys: v.AuthorizedKeys,
		Network: seed.Network{MAC: n.nic.MAC, Address: n.nic.Address, Gateway: n.nic.Gateway, DNS: n.nic.DNS, MTU: n.nic.MTU},
		Apps:    n.apps, UserData: n.own.userData,
		Guest: wire.Config{
			ChainID: c.chainID, VMID: v.ID, Seq: b.Seq, ProofKey: b.ProofKey,
			MeshCA: b.MeshCA, MeshCert: b.MeshCert, MeshKey: b.MeshKey,
			SSHHostKey: b.SSHHostKey, SSHHostCert: b.SSHHostCert, Mesh: n.Mesh(ctx),
		},
	})
	if err != nil {
		return err
	}
	return fault.Point("agent.seeded")
}

func (c cd) Release(_ context.Context, id vm.ID, why Reason) error {
	if err := c.seeds.Remove(id); err != nil {
		return err
	}
	switch why {
	case Undone:
		return fault.Point("agent.undone_seed")
	case Off:
		return fault.Point("agent.unseeded")
	case Gone:
		return fault.Point("agent.cleared_seed")
	default:
		return nil
	}
}

// definition is what the hypervisor knows of a VM.
type definition struct {
	driver   hypervisor.Lifecycle
	agentISO string
}

func (d definition) Ensure(ctx context.Context, n *Needs) error {
	if n.Running {
		return nil
	}
	m := n.Built.definition(n.VM)
	m.Seed, m.AgentISO, m.Tap, m.MAC = n.cd, d.agentISO, n.nic.Tap, n.nic.MAC
	if err := d.driver.Define(ctx, m); err != nil {
		return stage(ErrStart, err)
	}
	return fault.Point("agent.defined")
}

func (d definition) Release(ctx context.Context, id vm.ID, _ Reason) error {
	if err := d.driver.Destroy(ctx, id); err != nil {
		return err
	}
	return fault.Point("agent.destroyed")
}

// rootDisk is the disk that a VM boots from. It opens with the key of the instance that made it.
type rootDisk struct {
	driver  hypervisor.Disks
	notes   Notes
	secrets Secrets
}

// Ensure makes the disk if there is none, or lets it grow to what is wanted; the hypervisor has the key of one that it has
// open. A disk that holds data is never made anew.
func (d rootDisk) Ensure(ctx context.Context, n *Needs) error {
	id := hypervisor.Root(n.VM.ID)
	if n.Running {
		return d.refit(ctx, n, nil)
	}
	has, err := d.driver.HasDisk(ctx, id)
	if err != nil {
		return stage(ErrStart, err)
	}
	n.key = n.own.bundle.DiskKey
	seq := n.VM.Status.InstanceSeq
	if has && n.DiskSeq != 0 && n.DiskSeq != seq {
		older, err := n.Bundles.open(ctx, d.secrets, n.VM.ID, n.DiskSeq)
		if err != nil {
			return stage(ErrStart, err)
		}
		n.key = older.bundle.DiskKey
	}
	switch {
	case has:
		err = d.refit(ctx, n, n.key)
	case n.HasData:
		err = fmt.Errorf("%w; a blank one is never started in its place", ErrNoDisk)
	default:
		err = d.create(ctx, n, seq)
	}
	if err != nil {
		return stage(ErrStart, err)
	}
	return nil
}

func (d rootDisk) create(ctx context.Context, n *Needs, seq uint32) error {
	// Noted first: a disk whose making and maker's number are out of step could not be opened.
	if err := d.notes.DiskMade(n.VM.ID, seq, n.Built); err != nil {
		return err
	}
	if err := fault.Point("agent.disk_noted"); err != nil {
		return err
	}
	m := n.Built.definition(n.VM)
	m.DiskKey = n.key
	if err := d.driver.CreateDisk(ctx, m.Root()); err != nil {
		return err
	}
	n.made(seq)
	return fault.Point("agent.disk_made")
}

// refit grows a disk to what is wanted of it, and notes what it is for. One that has grown already is left alone.
func (d rootDisk) refit(ctx context.Context, n *Needs, key hypervisor.DiskKey) error {
	if n.Made == nil || *n.Made == n.Built && !n.Outdated {
		return nil
	}
	if n.Built.DiskBytes > n.Made.DiskBytes {
		if err := d.driver.ResizeDisk(ctx, hypervisor.Root(n.VM.ID), n.Built.DiskBytes, key); err != nil {
			return err
		}
		if err := fault.Point("agent.grown"); err != nil {
			return err
		}
	}
	if err := d.notes.DiskMade(n.VM.ID, n.DiskSeq, n.Built); err != nil {
		return err
	}
	n.made(n.DiskSeq)
	return fault.Point("agent.refitted")
}

func (d rootDisk) Release(ctx context.Context, id vm.ID, _ Reason) error {
	if err := d.driver.TrashDisk(ctx, hypervisor.Root(id)); err != nil {
		return err
	}
	return fault.Point("agent.disk_trashed")
}

// process is the running VM.
type process struct{ driver hypervisor.Lifecycle }

func (p process) Ensure(ctx context.Context, n *Needs) error {
	if n.Running {
		return nil
	}
	if err := p.driver.Start(ctx, n.VM.ID, n.key); err != nil {
		return stage(ErrStart, err)
	}
	return fault.Point("agent.started")
}

// Release forces off what runs.
func (p process) Release(ctx context.Context, id vm.ID, why Reason) error {
	if why != Gone {
		return nil // it does not run
	}
	if _, err := p.driver.Shutdown(ctx, id, 0); err != nil && !errors.Is(err, hypervisor.ErrNotFound) {
		return err
	}
	return fault.Point("agent.cut")
}
