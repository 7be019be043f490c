package agent

import (
	"context"
	"errors"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// ordersEvery bounds how soon an operator's order is taken up.
const ordersEvery = 2 * time.Second

// Orders are the operator's to forget VMs of which the chain knows nothing any more.
type Orders interface {
	// Given tells whether a VM is to be forgotten, All which ones are.
	Given(id vm.ID) bool
	All() ([]vm.ID, error)
	// Done and Refuse answer an order.
	Done(id vm.ID) error
	Refuse(id vm.ID, reason string) error
}

// mayRemove says why a VM is not to be removed from here, or nil: every endpoint of the chain says that this miner does not hold it,
// or it is not known there and its operator says so.
func (a *Agent) mayRemove(ctx context.Context, id vm.ID, known hypervisor.Info) error {
	err := a.confirm(ctx, id, known)
	if !errors.Is(err, ErrUnknown) || !a.Orders.Given(id) {
		return err
	}
	a.Log.Info("VM is forgotten by its operator's order", "vm_id", id, "error", err)
	return nil
}

// takeOrders looks after orders to forget VMs. Those that the chain gave to this miner are removed in their turns, domains
// that it never heard of as what is left of others.
func (a *Agent) takeOrders(ctx context.Context) {
	ids, err := a.Orders.All()
	if err != nil {
		a.Log.Warn("read orders", "error", err)
		return
	}
	for _, id := range ids {
		if err := a.takeOrder(ctx, id); err != nil {
			a.Log.Warn("order to forget VM", "vm_id", id, "error", err)
		}
	}
}

func (a *Agent) takeOrder(ctx context.Context, id vm.ID) error {
	r, ok, err := a.State.Get(id)
	if err != nil {
		return err
	}
	if ok {
		if !r.Released {
			return a.Orders.Refuse(id, "the chain last said that this miner holds it")
		}
		a.loop.Poke(id)
		return nil
	}
	info, err := a.Driver.Inspect(ctx, id)
	switch {
	case err != nil:
		return err
	case info.State == hypervisor.StateAbsent:
		return a.Orders.Done(id)
	}
	err = a.tidyDomain(ctx, info)
	if errors.Is(err, errHeld) {
		return a.Orders.Refuse(id, err.Error())
	}
	return err
}
