package chaos

import (
	"context"
	"fmt"
	"slices"
	"time"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	corevm "github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// look reads everything the laws are about. It runs when nothing moves.
func (w *world) look(ctx context.Context) error {
	w.vms = w.vms[:0]
	for _, t := range w.tenants {
		list, err := w.god.VMs(ctx, t.wallet.Address(), true)
		if err != nil {
			return err
		}
		slices.SortFunc(list, func(a, b *computev1.VM) int { return compare(a.GetId(), b.GetId()) })
		w.vms = append(w.vms, list...)
	}
	for _, v := range w.vms {
		w.rates[v.GetId()] = [2]uint64{v.GetRunningRate(), v.GetStoppedRate()}
	}
	return nil
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// of lists a tenant's machines that are not ended.
func (w *world) of(t *tenant) []*computev1.VM {
	var out []*computev1.VM
	for _, v := range w.vms {
		if v.GetOwner() == t.wallet.Address() && !ended(v) {
			out = append(out, v)
		}
	}
	return out
}

func phase(v *computev1.VM) corevm.Phase { return corevm.Phase(v.GetStatus().GetPhase()) }

func ended(v *computev1.VM) bool {
	return phase(v) == corevm.Terminated || phase(v) == corevm.Terminating
}

// alive lists the machines with a process on a host, whatever its hypervisor says.
func (w *world) alive(h *host) (ids []string) {
	for _, m := range h.driver.Machines() {
		if m.State.Alive() {
			ids = append(ids, string(m.ID))
		}
	}
	return ids
}

// laws hold after every block, whatever happens.
func (w *world) laws(ctx context.Context) error {
	if err := w.guests.fault(); err != nil {
		return err
	}
	for _, law := range []func(context.Context) error{w.oneLives, w.dataStays, w.chargedIsAttested, w.moneyAddsUp} {
		if err := law(ctx); err != nil {
			return err
		}
	}
	return nil
}

// oneLives: a VM has one machine with a process, and so has an address.
func (w *world) oneLives(context.Context) error {
	where := map[string]string{}
	for _, h := range w.hosts {
		for _, id := range w.alive(h) {
			if other := where[id]; other != "" {
				return fmt.Errorf("VM %.6s runs on %s and on %s", id, other, h.name)
			}
			where[id] = h.name
		}
	}
	at := map[string]string{}
	for _, v := range w.vms {
		if where[v.GetId()] == "" {
			continue
		}
		addr := v.GetSpec().GetMeshAddress()
		if other := at[addr]; other != "" {
			return fmt.Errorf("VMs %.6s and %.6s both run with address %s", other, v.GetId(), addr)
		}
		at[addr] = v.GetId()
	}
	return nil
}

// dataStays: the disk of a VM that was up is where its miner is, and is the one it was.
func (w *world) dataStays(context.Context) error {
	for _, v := range w.vms {
		id := v.GetId()
		if ended(v) || !v.GetStatus().GetHasData() {
			continue
		}
		h := w.host(v.GetStatus().GetMiner())
		if h == nil {
			return fmt.Errorf("VM %.6s has data and is with nobody", id)
		}
		boots, ok := h.driver.Boots(hypervisor.ID(id))
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
		a, got := w.book.vms[v.GetId()], v.GetStatus().GetAttestation()
		if a == nil {
			return fmt.Errorf("VM %.6s was never created", v.GetId())
		}
		if got.GetRunningSeconds() != a.running || got.GetStoppedSeconds() != a.stopped {
			return fmt.Errorf("VM %.6s is charged %d s running and %d s stopped; proved are %d and %d",
				v.GetId(), got.GetRunningSeconds(), got.GetStoppedSeconds(), a.running, a.stopped)
		}
	}
	for _, t := range w.tenants {
		r, err := w.god.Meter(ctx, t.wallet.Address())
		if err != nil {
			return err
		}
		m := r.GetMeter()
		units := m.GetConsumed()*3600 + m.GetCarry()
		for _, x := range m.GetAccruals() {
			units += x.GetUnits()
		}
		for _, x := range m.GetSegments() {
			units += x.GetUnits()
		}
		if due := w.book.due(t.wallet.Address(), w.rates); units+w.book.forgiven[t.wallet.Address()] != due {
			return fmt.Errorf("%s is charged %d units and forgiven %d; rate × attested seconds are %d",
				t.name, units, w.book.forgiven[t.wallet.Address()], due)
		}
		if m.GetConsumed() != w.book.served[t.wallet.Address()] {
			return fmt.Errorf("%s was charged %d ucredit, its miners were credited with %d", t.name, m.GetConsumed(), w.book.served[t.wallet.Address()])
		}
	}
	return nil
}

// moneyAddsUp: what was released is 60, 30 and 10 parts of what was used, and
// all credits are in somebody's hands.
func (w *world) moneyAddsUp(ctx context.Context) error {
	r, err := w.god.Totals(ctx)
	if err != nil {
		return err
	}
	t := r.GetTotals()
	if t.GetReleasedMinersUhip() != w.book.miners || t.GetReleasedStakersUhip() != w.book.stakers || t.GetReleasedTreasuryUhip() != w.book.treasury {
		return fmt.Errorf("released are %d to miners, %d to stakers, %d to the treasury; due are %d, %d, %d",
			t.GetReleasedMinersUhip(), t.GetReleasedStakersUhip(), t.GetReleasedTreasuryUhip(), w.book.miners, w.book.stakers, w.book.treasury)
	}
	var held uint64
	for _, a := range w.purses {
		b, err := w.god.Balance(ctx, a)
		if err != nil {
			return err
		}
		held += b.GetUcredit()
	}
	if out := t.GetBoughtUcredit() - t.GetConsumedUcredit(); held != out {
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
			return fmt.Errorf("VM %.6s, %s (%s: %s): %w", v.GetId(), phase(v), v.GetStatus().GetReason(), v.GetStatus().GetMessage(), err)
		}
	}
	for _, h := range w.hosts {
		if err := w.tidied(h); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return nil
}

func (w *world) calm(v *computev1.VM) error {
	var info hypervisor.Info
	h := w.host(v.GetStatus().GetMiner())
	if h != nil {
		info = h.driver.Machine(hypervisor.ID(v.GetId()))
	}
	switch p := phase(v); p { //nolint:exhaustive // the others pass
	case corevm.Terminated:
		return nil
	case corevm.Running:
		if info.State != hypervisor.StateRunning || info.InstanceSeq != v.GetStatus().GetInstanceSeq() {
			return fmt.Errorf("its machine is %s, instance %d", info.State, info.InstanceSeq)
		}
		if age := time.Now().Unix() - v.GetStatus().GetAttestation().GetLastAt(); age > gap {
			return fmt.Errorf("proved %d s ago", age)
		}
		return nil
	case corevm.Stopped, corevm.Failed:
		if info.State.Alive() {
			return fmt.Errorf("its machine is %s", info.State)
		}
		return nil
	case corevm.Pending:
		switch v.GetStatus().GetReason() {
		case corevm.ReasonNoCapacity, corevm.ReasonSecretsNeeded:
			return nil // it waits for others
		}
	}
	return fmt.Errorf("it is on its way still")
}

// tidied: a host has what the chain says, and nothing else.
func (w *world) tidied(h *host) error {
	held := map[string]*computev1.VM{}
	for _, v := range w.vms {
		if v.GetStatus().GetMiner() == h.wallet.Address() {
			held[v.GetId()] = v
		}
	}
	up := 0
	for _, v := range held {
		if phase(v) == corevm.Running {
			up++
		}
	}
	for _, m := range h.driver.Machines() {
		if held[string(m.ID)] == nil {
			return fmt.Errorf("it has machine %.6s, %s, which is not its own", m.ID, m.State)
		}
	}
	for _, id := range h.driver.Disks() {
		if held[string(id)] == nil {
			return fmt.Errorf("it has the disk of %.6s, which is not its own", id)
		}
	}
	seeds, err := h.seeds.List()
	if err != nil {
		return err
	}
	for _, id := range seeds {
		if v := held[id]; v == nil || phase(v) != corevm.Running {
			return fmt.Errorf("it has the seed of %.6s, which does not run here", id)
		}
	}
	if n := h.taps.count(); n != up || len(seeds) != up {
		return fmt.Errorf("it has %d taps and %d seeds for %d machines that run", n, len(seeds), up)
	}
	return nil
}

// emptied: after the last VM's end nothing of any is anywhere.
func (w *world) emptied() error {
	for _, v := range w.vms {
		if phase(v) != corevm.Terminated {
			return fmt.Errorf("VM %.6s is %s", v.GetId(), phase(v))
		}
	}
	for _, h := range w.hosts {
		if n := len(h.driver.Machines()) + len(h.driver.Disks()); n != 0 {
			return fmt.Errorf("%s has %d machines and disks left", h.name, n)
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
