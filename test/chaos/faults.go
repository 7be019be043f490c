package chaos

import (
	"errors"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// heal is the end of a fault.
type heal struct {
	at   time.Time
	what string
	do   func() error
}

// later has a fault end after a while.
func (w *world) later(d time.Duration, what string, do func() error) {
	w.heals = append(w.heals, heal{time.Now().Add(d), what, do})
	w.active[what] = true
}

// mend ends the faults whose time has come, or all.
func (w *world) mend(all bool) error {
	var left []heal
	for _, h := range w.heals {
		if !all && time.Now().Before(h.at) {
			left = append(left, h)
			continue
		}
		delete(w.active, h.what)
		w.trace.note("over: %s", h.what)
		if err := h.do(); err != nil {
			return err
		}
	}
	w.heals = left
	for _, h := range w.hosts {
		if all && h.run != nil {
			h.run.trap = ""
		}
	}
	return nil
}

func nothing() error { return nil }

// disturb makes something go wrong that the seed decides. What is broken already
// is left to be.
func (w *world) disturb() error {
	h := pick(w.chance, w.hosts)
	kinds := []func(h *host) error{
		w.killAgent, w.killAgent, w.trapAgent, w.trapAgent, w.trapAgent,
		w.cutFromChain, w.cutFromChain, w.cutFromKeeper, w.killKeeper, w.lagNode, w.loseTransactions, w.haltChain,
		w.hypervisorDown, w.fillDisk, w.failImages, w.failNetwork, w.losePower,
		w.killVM, w.killVM, w.powerOff, w.deafen, w.pauseVM, w.failStart,
	}
	return pick(w.chance, kinds)(h)
}

// begin notes a fault and says whether it is a new one.
func (w *world) begin(what string) bool {
	if w.active[what] {
		return false
	}
	w.trace.note("fault: %s", what)
	w.faults++
	return true
}

func (w *world) killAgent(h *host) error {
	what := h.name + "'s agent is killed"
	if h.run == nil || !w.begin(what) {
		return nil
	}
	err := h.end()
	w.later(w.chance.between(1, 100), what, nothing) // it is started when nothing keeps it down
	return err
}

// trapAgent has the agent die in the middle of what it will do next.
func (w *world) trapAgent(h *host) error {
	if h.run == nil || h.run.trap != "" {
		return nil
	}
	name, after := pick(w.chance, calls()), w.chance.often(50)
	w.begin(fmt.Sprintf("%s's agent will die in %q, after its effect: %v", h.name, name, after))
	h.run.trap, h.run.trapAfter = name, after
	return nil
}

func (w *world) cut(from, to string, d time.Duration) {
	what := fmt.Sprintf("%s does not reach %s", from, to)
	if !w.begin(what) {
		return
	}
	w.sever(from, to, true)
	w.later(d, what, func() error { w.sever(from, to, false); return nil })
}

func (w *world) sever(from, to string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts[[2]string{from, to}] = cut
}

// cutFromChain cuts somebody off from some nodes or all.
func (w *world) cutFromChain(h *host) error {
	who := h.name
	switch n := w.chance.IntN(10); {
	case n < keepers:
		who = w.keepers[n].name
	case n == keepers:
		who = pick(w.chance, w.tenants).name
	}
	d := w.chance.between(5, 150)
	one := w.chance.IntN(nodes)
	for n := range nodes {
		if n == one || w.chance.often(60) {
			w.cut(who, nodeName(n), d)
		}
	}
	return nil
}

func (w *world) cutFromKeeper(h *host) error {
	for _, k := range w.keepers {
		if w.chance.often(50) {
			w.cut(h.name, k.name, w.chance.between(5, 90))
		}
	}
	return nil
}

func (w *world) killKeeper(*host) error {
	k := pick(w.chance, w.keepers)
	what := k.name + " is down"
	if k.svc == nil || !w.begin(what) {
		return nil
	}
	w.later(w.chance.between(2, 60), what, k.start)
	return k.stop()
}

// lagNode has a node be behind by some blocks.
func (w *world) lagNode(*host) error {
	n := w.chance.IntN(nodes)
	what := nodeName(n) + " is behind"
	if !w.begin(what) {
		return nil
	}
	w.chain.lag[n] = 1 + w.chance.Int64N(20)
	w.later(w.chance.between(5, 90), what, func() error { w.chain.lag[n] = 0; return nil })
	return nil
}

func (w *world) loseTransactions(*host) error {
	const what = "transactions and answers are lost"
	if !w.begin(what) {
		return nil
	}
	w.chain.dropped, w.chain.late, w.chain.lost = 25, 25, 25
	w.later(w.chance.between(10, 90), what, func() error { w.chain.dropped, w.chain.late, w.chain.lost = 0, 0, 0; return nil })
	return nil
}

func (w *world) haltChain(*host) error {
	const what = "the chain stands still"
	if w.chance.often(50) || !w.begin(what) {
		return nil
	}
	w.later(w.chance.between(5, 120), what, nothing)
	return nil
}

func (w *world) hypervisorDown(h *host) error {
	what := h.name + "'s hypervisor does not answer"
	if !w.begin(what) {
		return nil
	}
	h.driver.SetHypervisorDown(true)
	w.later(w.chance.between(5, 100), what, func() error { h.driver.SetHypervisorDown(false); return nil })
	return nil
}

func (w *world) fillDisk(h *host) error {
	what := h.name + "'s disk is full"
	if !w.begin(what) {
		return nil
	}
	h.driver.SetNoSpace(true)
	w.later(w.chance.between(5, 100), what, func() error { h.driver.SetNoSpace(false); return nil })
	return nil
}

func (w *world) failImages(h *host) error {
	what := h.name + " gets no images"
	if !w.begin(what) {
		return nil
	}
	h.images.set(errors.New("no mirror answers"))
	w.later(w.chance.between(5, 100), what, func() error { h.images.set(nil); return nil })
	return nil
}

func (w *world) failNetwork(h *host) error {
	what := h.name + " attaches no taps"
	if !w.begin(what) {
		return nil
	}
	h.taps.set(errors.New("no tap"))
	w.later(w.chance.between(5, 60), what, func() error { h.taps.set(nil); return nil })
	return nil
}

// losePower ends everything on a host at once; its disk stays.
func (w *world) losePower(h *host) error {
	what := h.name + " has no power"
	if !w.begin(what) {
		return nil
	}
	if h.run != nil {
		if err := h.end(); err != nil {
			return err
		}
	}
	for _, id := range w.alive(h) {
		if err := h.driver.KillProcess(id); err != nil {
			return err
		}
	}
	w.later(w.chance.between(5, 120), what, nothing)
	return nil
}

// victim is one of the VMs that run on a host, if there is one.
func (w *world) victim(h *host) (vm.ID, bool) {
	alive := w.alive(h)
	if len(alive) == 0 {
		return "", false
	}
	return pick(w.chance, alive), true
}

func (w *world) killVM(h *host) error {
	id, ok := w.victim(h)
	if !ok {
		return nil
	}
	w.begin(fmt.Sprintf("the process of %.6s on %s is killed", id, h.name))
	return h.driver.KillProcess(id)
}

func (w *world) powerOff(h *host) error {
	id, ok := w.victim(h)
	if !ok {
		return nil
	}
	w.begin(fmt.Sprintf("guest %.6s on %s powers itself off", id, h.name))
	return h.driver.PowerOff(id)
}

func (w *world) deafen(h *host) error {
	id, ok := w.victim(h)
	what := fmt.Sprintf("guest %.6s on %s ignores ACPI", id, h.name)
	if !ok || !w.begin(what) {
		return nil
	}
	h.driver.SetIgnoreACPI(id, true)
	w.later(w.chance.between(20, 120), what, func() error { h.driver.SetIgnoreACPI(id, false); return nil })
	return nil
}

func (w *world) pauseVM(h *host) error {
	id, ok := w.victim(h)
	if !ok {
		return nil
	}
	w.begin(fmt.Sprintf("the host's disk pauses %.6s on %s", id, h.name))
	if err := h.driver.PauseForSpace(id); err != nil && !errors.Is(err, hypervisor.ErrState) {
		return err
	}
	return nil
}

// failStart has the next starts of some VM fail.
func (w *world) failStart(h *host) error {
	var held []vm.ID
	for _, v := range w.vms {
		if v.Status.Miner == h.wallet.Address() {
			held = append(held, v.ID)
		}
	}
	if len(held) == 0 {
		return nil
	}
	id, n := pick(w.chance, held), 1+w.chance.IntN(4)
	w.begin(fmt.Sprintf("%d starts of %.6s on %s fail", n, id, h.name))
	h.driver.FailStarts(id, n)
	return nil
}
