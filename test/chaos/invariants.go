package chaos

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// look reads everything the invariants are about. It runs when nothing moves.
func (w *world) look(ctx context.Context) error {
	w.vms = w.vms[:0]
	for _, t := range w.tenants {
		list, err := w.god.VMs(ctx, t.wallet.Address(), true)
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b vm.VM) int { return cmp.Compare(a.ID, b.ID) })
		w.vms = append(w.vms, list...)
	}
	for _, v := range w.vms {
		w.rates[v.ID] = v.Rates
	}
	return nil
}

// of lists a tenant's VMs that are not ended.
func (w *world) of(t *tenant) []vm.VM {
	var out []vm.VM
	for _, v := range w.vms {
		if v.Owner == t.wallet.Address() && !v.Ended() {
			out = append(out, v)
		}
	}
	return out
}

// alive lists the VMs with a process on a host, whatever its hypervisor says.
func (w *world) alive(h *host) (ids []vm.ID) {
	for _, m := range h.driver.VMs() {
		if m.State.Alive() {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// invariants hold after every block, whatever happens.
func (w *world) invariants(ctx context.Context) error {
	if err := w.guests.fault(); err != nil {
		return err
	}
	for _, holds := range []func(context.Context) error{w.oneLives, w.dataStays, w.chargedIsAttested, w.moneyAddsUp} {
		if err := holds(ctx); err != nil {
			return err
		}
	}
	return nil
}

// oneLives: a VM has at most one process, and so has an address.
func (w *world) oneLives(context.Context) error {
	where := map[vm.ID]string{}
	for _, h := range w.hosts {
		for _, id := range w.alive(h) {
			if other := where[id]; other != "" {
				return fmt.Errorf("VM %.6s runs on %s and on %s", id, other, h.name)
			}
			where[id] = h.name
		}
	}
	at := map[string]vm.ID{}
	for _, v := range w.vms {
		if where[v.ID] == "" {
			continue
		}
		addr := v.Spec.MeshAddress
		if other := at[addr]; other != "" {
			return fmt.Errorf("VMs %.6s and %.6s both run with address %s", other, v.ID, addr)
		}
		at[addr] = v.ID
	}
	return nil
}

// dataStays: the disk of a VM that was up is where its miner is, and is the one it was.
func (w *world) dataStays(context.Context) error {
	for _, v := range w.vms {
		id := v.ID
		if v.Ended() || !v.Status.HasData {
			continue
		}
		h := w.host(v.Status.Miner)
		if h == nil {
			return fmt.Errorf("VM %.6s has data and is with nobody", id)
		}
		boots, ok := h.driver.Boots(id)
		if !ok {
			return fmt.Errorf("VM %.6s has lost its disk on %s", id, h.name)
		}
		if boots < w.boots[id] {
			return fmt.Errorf("VM %.6s was booted %d times, and now has a disk that was booted %d times", id, w.boots[id], boots)
		}
		w.boots[id] = boots
	}
	return nil
}

// chargedIsAttested: not a second more or less than was proved, at the rate it was sold for.
func (w *world) chargedIsAttested(ctx context.Context) error {
	for _, v := range w.vms {
		a, got := w.book.vms[v.ID], v.Status.Attestation
		if a == nil {
			return fmt.Errorf("VM %.6s was never created", v.ID)
		}
		if got.RunningSeconds != a.running || got.StoppedSeconds != a.stopped {
			return fmt.Errorf("VM %.6s is charged %d s running and %d s stopped; proved are %d and %d",
				v.ID, got.RunningSeconds, got.StoppedSeconds, a.running, a.stopped)
		}
	}
	for _, t := range w.tenants {
		st, err := w.god.Statement(ctx, t.wallet.Address())
		if err != nil {
			return err
		}
		m := st.Meter
		units := m.Consumed*3600 + st.OwedUnits
		if due := w.book.due(t.wallet.Address(), w.rates); units+w.book.forgiven[t.wallet.Address()] != due {
			return fmt.Errorf("%s is charged %d units and forgiven %d; rate × attested seconds are %d",
				t.name, units, w.book.forgiven[t.wallet.Address()], due)
		}
		if m.Consumed != w.book.served[t.wallet.Address()] {
			return fmt.Errorf("%s was charged %d ucredit, its miners were credited with %d", t.name, m.Consumed, w.book.served[t.wallet.Address()])
		}
	}
	return nil
}

// moneyAddsUp: what was released is 60, 30 and 10 parts of what was used, and
// all credits are in somebody's hands.
func (w *world) moneyAddsUp(ctx context.Context) error {
	t, err := w.god.Books(ctx)
	if err != nil {
		return err
	}
	if t.Miners != w.book.miners || t.Stakers != w.book.stakers || t.Treasury != w.book.treasury {
		return fmt.Errorf("released are %d to miners, %d to stakers, %d to the treasury; due are %d, %d, %d",
			t.Miners, t.Stakers, t.Treasury, w.book.miners, w.book.stakers, w.book.treasury)
	}
	var held uint64
	for _, a := range w.purses {
		b, err := w.god.Balance(ctx, a)
		if err != nil {
			return err
		}
		held += b.Ucredit
	}
	if out := t.Outstanding(); held != out {
		return fmt.Errorf("%d ucredit are outstanding, and %d in all hands", out, held)
	}
	if got := w.chain.Supply(); got != w.supply {
		return fmt.Errorf("there were %s coins, and now there are %s", w.supply, got)
	}
	return nil
}

// settled says what is not yet as it should be when nothing is broken: every
// VM that is to be on runs and is proved, every other is off, and nobody has
// anything of a VM that is not his.
func (w *world) settled() error {
	for _, v := range w.vms {
		if err := w.calm(v); err != nil {
			return fmt.Errorf("VM %.6s, %s (%s: %s): %w", v.ID, v.Status.Phase, v.Status.Reason, v.Status.Message, err)
		}
	}
	for _, h := range w.hosts {
		if err := w.tidied(h); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return nil
}

func (w *world) calm(v vm.VM) error {
	var info hypervisor.Info
	h := w.host(v.Status.Miner)
	if h != nil {
		info = h.driver.VM(v.ID)
	}
	switch p := v.Status.Phase; p { //nolint:exhaustive // the others pass
	case vm.Terminated:
		return nil
	case vm.Running:
		if info.State != hypervisor.StateRunning || info.InstanceSeq != v.Status.InstanceSeq {
			return fmt.Errorf("its domain is %s, instance %d", info.State, info.InstanceSeq)
		}
		if age := time.Now().Unix() - v.Status.Attestation.LastAt; age > gap {
			return fmt.Errorf("proved %d s ago", age)
		}
		return nil
	case vm.Stopped, vm.Failed:
		if info.State.Alive() {
			return fmt.Errorf("its domain is %s", info.State)
		}
		return nil
	case vm.Pending:
		switch v.Status.Reason {
		case vm.ReasonNoCapacity, vm.ReasonSecretsNeeded:
			return nil // it waits for others
		}
	}
	return fmt.Errorf("it is on its way still")
}

// tidied: a host has what the chain says, and nothing else.
func (w *world) tidied(h *host) error {
	held := map[vm.ID]vm.VM{}
	for _, v := range w.vms {
		if v.Status.Miner == h.wallet.Address() {
			held[v.ID] = v
		}
	}
	up := 0
	for _, v := range held {
		if v.Status.Phase == vm.Running {
			up++
		}
	}
	for _, m := range h.driver.VMs() {
		if _, ok := held[m.ID]; !ok {
			return fmt.Errorf("it has VM %.6s, %s, which is not its own", m.ID, m.State)
		}
	}
	for _, id := range h.driver.Disks() {
		if _, ok := held[id]; !ok {
			return fmt.Errorf("it has the disk of %.6s, which is not its own", id)
		}
	}
	seeds, err := h.seeds.List()
	if err != nil {
		return err
	}
	for _, id := range seeds {
		if v, ok := held[id]; !ok || v.Status.Phase != vm.Running {
			return fmt.Errorf("it has the seed of %.6s, which does not run here", id)
		}
	}
	if n := h.taps.count(); n != up || len(seeds) != up {
		return fmt.Errorf("it has %d taps and %d seeds for %d VMs that run", n, len(seeds), up)
	}
	return nil
}

// emptied: after the last VM's end nothing of any is anywhere.
func (w *world) emptied() error {
	for _, v := range w.vms {
		if v.Status.Phase != vm.Terminated {
			return fmt.Errorf("VM %.6s is %s", v.ID, v.Status.Phase)
		}
	}
	for _, h := range w.hosts {
		if n := len(h.driver.VMs()) + len(h.driver.Disks()); n != 0 {
			return fmt.Errorf("%s has %d VMs and disks left", h.name, n)
		}
		if err := w.tidied(h); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
		if h.run == nil {
			return fmt.Errorf("%s's agent is down", h.name)
		}
		ids, err := h.run.turns.VMs(h.run.ctx)
		if err != nil {
			return err
		}
		if len(ids) != 0 {
			return fmt.Errorf("%s's agent still remembers %.6s", h.name, ids[0])
		}
	}
	return nil
}

// forgotten: once the times to keep are over, keepers hold no shares and hosts no trash.
func (w *world) forgotten() error {
	for _, k := range w.keepers {
		c, err := k.svc.Counts()
		if err != nil {
			return err
		}
		if c.VMs != 0 || c.Pending != 0 {
			return fmt.Errorf("%s holds shares of %d VMs, %d of them pending", k.name, c.VMs, c.Pending)
		}
	}
	for _, h := range w.hosts {
		if n := h.driver.Trash(); n != 0 {
			return fmt.Errorf("%s has %d disks in the trash", h.name, n)
		}
	}
	return nil
}
