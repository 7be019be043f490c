package tenant

import (
	"context"
	"fmt"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Resize is what a VM would become.
type Resize struct {
	VM   vm.VM
	Plan string
	To   plan.Size
	// Rates that To costs.
	Rates plan.Rates
	// Restart: the VM runs, and is restarted for it.
	Restart    bool
	overcommit uint32
	bonds      node.BondRates
}

// Resize works out by the chain's own rules what would become of a VM under another plan. Errors are Check's.
func (r *Reader) Resize(ctx context.Context, v vm.VM, name string) (Resize, error) {
	p, err := r.plan(ctx, name)
	if err != nil {
		return Resize{}, err
	}
	if err := allowed(v, vm.Resize); err != nil {
		return Resize{}, err
	}
	params, err := r.chain.Params(ctx)
	if err != nil {
		return Resize{}, err
	}
	out := Resize{VM: v, Plan: name, To: p.Keeping(v.WantedSize().DiskGiB), overcommit: params.CPUOvercommit, bonds: params.Bonds}
	if out.Rates, err = params.Prices.Quote(out.To); err != nil {
		return Resize{}, fmt.Errorf("price of plan %q: %w", name, err)
	}
	if v.Resize == nil && v.Size == out.To && v.Rates == out.Rates {
		return Resize{}, fault(SameSize, v.Spec.Name, "%s has the size of plan %q already", v.Spec.Name, name)
	}
	out.Restart = v.Status.Phase.On() && plan.NeedsRestart(v.Size, out.To)
	return out, nil
}

// Fits reports whether the VM's host has the capacity for it in the other size, by the chain's own rule. A VM without a host is
// placed where there is capacity.
func (r *Reader) Fits(ctx context.Context, s Resize) (bool, error) {
	if s.VM.Status.Miner == "" {
		return true, nil
	}
	m, err := r.chain.Miner(ctx, s.VM.Status.Miner)
	if err != nil {
		return false, err
	}
	held, wanted := s.VM.Holds(), s.VM.Size.Demand().Both(s.To.Demand())
	if s.VM.Off() {
		wanted = wanted.DiskOnly() // the rest is taken when it is started
	}
	if wanted.Within(held) {
		return true, nil
	}
	without, err := m.Usage.Sub(held)
	if err != nil {
		return false, fmt.Errorf("available capacity of host %s: %w", m.Name, err)
	}
	return node.AvailableCapacity(m.Capacity.Covered(m.BondUhip, s.bonds), without, s.overcommit).Fits(wanted), nil
}
