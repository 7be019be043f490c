package agenttest

import (
	"crypto/ed25519"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Order is what a tenant asks.
func (c *Chain) Order(id vm.ID, ev vm.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	v := c.vms[id]
	if err := c.event(v, ev, vm.Tenant); err != nil {
		return err
	}
	v.Generation++
	v.ChangedHeight = c.height
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
	return nil
}

// Resize is a tenant's order of another size; it is restarted for it or not.
func (c *Chain) Resize(id vm.ID, to plan.Size, restart bool) error {
	ev := vm.Resize
	if restart {
		ev = vm.ResizeRestart
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.block()
	v := c.vms[id]
	if err := c.event(v, ev, vm.Tenant); err != nil {
		return err
	}
	v.Generation++
	v.ChangedHeight = c.height
	v.Resize = &vm.SizeChange{Generation: v.Generation, Size: to, Restart: restart}
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
	v := c.vms[id]
	c.release(v)
	v.Status.Miner, v.Status.InstanceSeq, v.Status.Phase = "hip1other", v.Status.InstanceSeq+1, vm.Assigned
}
