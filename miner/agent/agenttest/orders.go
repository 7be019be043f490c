package agenttest

import (
	"crypto/ed25519"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Order is what a tenant asks.
func (c *Chain) Order(id vm.ID, ev vm.Event) error {
	return c.order(id, ev, vm.ReasonTenant, func(v *vm.VM) {
		switch ev { //nolint:exhaustive // the rest is no order
		case vm.Start:
			v.Spec.On = true
		case vm.Stop:
			v.Spec.On = false
		case vm.Reboot:
			v.Spec.RebootSeq++
		case vm.Rebuild:
			v.Spec.On = true
			v.Status.HasData = false
			v.Status.InstanceSeq++
			v.Status.RebuildInstance = v.Status.InstanceSeq
		}
	})
}

// Resize is a tenant's order of another size; what runs is restarted for it or not.
func (c *Chain) Resize(id vm.ID, to plan.Size, restart bool) error {
	v := c.Get(id)
	ev, reason := vm.Resize, v.Status.Reason
	if restart && v.Status.Phase == vm.Running {
		ev, reason = vm.ResizeRestart, vm.ReasonResize
	}
	return c.order(id, ev, reason, func(v *vm.VM) {
		v.Resize = &vm.SizeChange{Generation: v.Generation, Size: to, Restart: restart}
	})
}

// order moves a VM for its tenant, and changes it as the next generation.
func (c *Chain) order(id vm.ID, ev vm.Event, reason string, change func(v *vm.VM)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	old := c.vms[id]
	v := clone(*old)
	message := ""
	if ev == vm.Resize {
		message = v.Status.Message // it stays what it is, for the reason it is
	}
	if err := c.step(&v, ev, vm.Tenant, reason, message, c.heads[c.height].at); err != nil {
		return err
	}
	v.Generation++
	change(&v)
	c.save(old, v)
	return nil
}

// Create assigns a new VM to the miner, with the guest keys of instances 1 to n.
func (c *Chain) Create(id vm.ID, owner string, spec vm.Spec, authorized []string, guestKeys ...ed25519.PublicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	v := &vm.VM{
		ID: id, Owner: owner, Spec: spec, Generation: 1, ChangedHeight: c.height, AuthorizedKeys: authorized, Sizing: vm.Sizing{Size: c.Size},
		Status: vm.Status{
			Phase: vm.Assigned, Miner: Miner, InstanceSeq: 1, Attestation: vm.Attestation{},
		},
	}
	for i, key := range guestKeys {
		v.Instances = append(v.Instances, vm.Instance{Seq: uint32(i) + 1, GuestKey: key}) //nolint:gosec // a few
	}
	c.vms[id] = v
}

// Change edits a VM as only the chain itself could, in a new block.
func (c *Chain) Change(id vm.ID, f func(v *vm.VM)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	f(c.vms[id])
	c.vms[id].ChangedHeight = c.height
}

// Move gives a VM to another miner.
func (c *Chain) Move(id vm.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	old := c.vms[id]
	v := clone(*old)
	v.Status.Miner, v.Status.InstanceSeq, v.Status.Phase = "hip1other", v.Status.InstanceSeq+1, vm.Assigned
	c.save(old, v)
}
