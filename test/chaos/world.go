// Package chaos plays whole networks in one process and in no time, with
// everything going wrong that can: agents, keepers and hosts die at any step,
// nodes lie in the past, transactions and answers are lost, hypervisors fail,
// and tenants do as they please. The invariants of invariants.go hold all the while, and
// when it is over everything is in order again.
//
// The chain's application, its clients, the agents, the keepers and the dealing
// of secrets are the real ones; the hypervisor is miner/hypervisor/fake. One goroutine
// decides, by the seed alone, who acts next, and lets it act until nothing moves
// any more (testing/synctest): the same seed gives the same history.
package chaos

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// Outcome of a history.
type Outcome struct {
	// Hash of all that happened.
	Hash string
	// Lines tell it.
	Lines []string
	// Blocks made, faults that struck, VMs ordered, placements, proofs taken, accounts' VMs stopped for lack of credit.
	Blocks, Faults, VMs, Moves, Proofs, RunOuts int
	// Err is the invariant that was violated, if one was.
	Err error
}

// world is one network.
type world struct {
	dir    string
	trace  *trace
	chance chance
	chain  *chain
	god    *client.Client
	guests *guests
	book   *book

	hosts   []*host
	keepers []*keeperHost
	tenants []*tenant
	tasks   sync.WaitGroup

	// turn passes on what the player changed to whoever acts next. The bubble's clock orders them, but the race detector
	// does not know it of a goroutine that time wakes.
	turn atomic.Int64

	mu     sync.Mutex // of cuts
	cuts   map[[2]string]bool
	heals  []heal
	active map[string]bool
	faults int
	wild   atomic.Bool // things go wrong
	// ill and lively are how many of a hundred seconds see a fault, and a tenant's task.
	ill, lively int

	every  time.Duration // a block
	vms    []vm.VM
	rates  map[vm.ID]plan.Rates
	boots  map[vm.ID]uint64
	purses []string
	supply string
	told   map[vm.ID]string
}

// Lengths of a history, in seconds.
const (
	wildFor  = 420
	calmFor  = 1200
	emptyFor = 900
)

// Play plays the history of a seed in dir. It must be called inside a
// synctest bubble, which it leaves when all of it has ended.
func Play(t testing.TB, seed uint64, dir string) Outcome {
	t.Helper()
	time.Sleep(time.Until(time.Unix(apptest.Start, 0))) // the chain's clock is the world's
	w := &world{
		dir: dir, trace: newTrace(), chance: newChance(seed), guests: &guests{signed: map[signed]bool{}},
		cuts: map[[2]string]bool{}, active: map[string]bool{}, rates: map[vm.ID]plan.Rates{}, boots: map[vm.ID]uint64{}, told: map[vm.ID]string{},
	}
	w.trace.began = time.Now()
	w.book = newBook(w.guests)
	ctx := context.Background()
	err := w.build(ctx, t)
	if err == nil {
		err = w.live(ctx)
	}
	if err != nil {
		w.trace.note("broken: %v", err)
	}
	err = errors.Join(err, w.close())
	return Outcome{
		Hash: w.trace.hash(), Lines: w.trace.lines, Blocks: int(w.chain.Height()), Faults: w.faults, VMs: len(w.book.vms),
		Moves: w.book.moves, Proofs: w.book.proofs, RunOuts: w.book.runOuts, Err: err,
	}
}

// key is always the same for the same name.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("chaos/" + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return ed25519.PublicKey(k[ed25519.SeedSize:]) }

// clock is what programs are given as theirs.
func (*world) clock() time.Time { return time.Now() }

// pass lets time pass, and all others act until nothing moves any more.
func (w *world) pass(d time.Duration) {
	w.turn.Add(1)
	time.Sleep(d)
	synctest.Wait()
}

// observe makes what the player changed visible to the caller.
func (w *world) observe() { w.turn.Load() }

// reach says whether somebody reaches somebody.
func (w *world) reach(from, to string) bool {
	w.observe()
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cuts[[2]string{from, to}]
}

// odd says whether single calls may fail.
func (w *world) odd() bool { return w.wild.Load() }

func (w *world) host(operator string) *host {
	for _, h := range w.hosts {
		if h.wallet.Address() == operator {
			return h
		}
	}
	return nil
}

// live plays: a wild time, a calm one, and the end of all VMs.
func (w *world) live(ctx context.Context) error {
	w.wild.Store(true)
	for range wildFor {
		if err := w.second(ctx, true); err != nil {
			return err
		}
	}
	w.wild.Store(false)
	if err := w.mend(true); err != nil {
		return err
	}
	w.trace.note("nothing is broken any more")
	if err := w.until(ctx, calmFor, w.settled, revive); err != nil {
		return fmt.Errorf("not in order %d s after the last fault: %w", calmFor, err)
	}
	w.trace.note("everything is in order; the tenants end all VMs")
	if err := w.until(ctx, emptyFor, w.emptied, terminate); err != nil {
		return fmt.Errorf("not gone %d s after its end: %w", emptyFor, err)
	}
	return w.forget(ctx)
}

// second lets one pass.
func (w *world) second(ctx context.Context, busy bool) error {
	w.pass(time.Second)
	if err := w.mend(false); err != nil {
		return err
	}
	if busy && w.chance.often(w.ill) {
		if err := w.disturb(); err != nil {
			return err
		}
		w.pass(0)
	}
	if busy {
		for _, t := range w.tenants {
			t.act()
		}
	}
	for _, h := range w.hosts {
		if h.run == nil && !w.active[h.name+"'s agent is killed"] && !w.active[h.name+" has no power"] && w.chance.often(15) {
			w.trace.note("%s's agent starts", h.name)
			if err := h.start(); err != nil {
				return err
			}
		}
		if err := h.act(); err != nil {
			return err
		}
	}
	for _, k := range w.keepers {
		if k.svc != nil && w.chance.often(5) {
			_ = k.svc.Sweep(ctx) // it does not reach the chain, or is done later
		}
	}
	if time.Since(time.Unix(w.chain.Now(), 0)) < w.every || w.active["the chain stands still"] {
		return nil
	}
	return w.makeBlock(ctx)
}

// makeBlock makes one, and sees that all invariants hold.
func (w *world) makeBlock(ctx context.Context) error {
	done, end, err := w.chain.block()
	if err != nil {
		return err
	}
	if err := w.book.enter(w.chain.Height(), w.chain.Now(), done, end); err != nil {
		return err
	}
	if err := w.look(ctx); err != nil {
		return err
	}
	w.tell()
	return w.invariants(ctx)
}

// tell notes what changed.
func (w *world) tell() {
	for _, v := range w.vms {
		s, a := v.Status, v.Status.Attestation
		w.trace.mark(v.ID, a.ProofHeight, a.RunningSeconds, a.StoppedSeconds)
		where := "nobody"
		if h := w.host(s.Miner); h != nil {
			where = h.name
		}
		line := fmt.Sprintf("%s with %s, instance %d, generation %d, reboot %d of %d", v.Status.Phase, where,
			s.InstanceSeq, v.Generation, s.ObservedRebootSeq, v.Spec.RebootSeq)
		if w.told[v.ID] != line {
			w.told[v.ID] = line
			w.trace.note("block %d: %.6s is %s; proved %d s, stopped %d s", w.chain.Height(), v.ID, line, a.RunningSeconds, a.StoppedSeconds)
		}
	}
}

// until lets calm seconds pass until something is so. Now and then each tenant
// does what is his to do.
func (w *world) until(ctx context.Context, seconds int, so func() error, task func(t *tenant, v vm.VM)) error {
	var err error
	for i := range seconds {
		if err = w.second(ctx, false); err != nil {
			return err
		}
		if err = so(); err == nil {
			return nil
		}
		for _, t := range w.tenants {
			if i%10 != 5 || !t.tell() {
				continue
			}
			for _, v := range w.of(t) {
				if t.tell() {
					task(t, v)
				}
			}
		}
	}
	return err
}

// forget lets the times pass for which anything is kept of a VM that has ended.
func (w *world) forget(ctx context.Context) error {
	w.turn.Add(1)
	w.tasks.Wait()
	w.pass(hypervisor.TrashPeriod + 2*time.Hour)
	for range 3 {
		w.pass(time.Minute)
		if err := w.makeBlock(ctx); err != nil {
			return err
		}
		for _, h := range w.hosts {
			// What time it is for the trash, the chain says.
			h.run.turn("follow", func(ctx context.Context) { _ = h.run.turns.Follow(ctx) }) // three times, and nothing is broken
			h.run.turn("tidy", h.run.turns.Tidy)
		}
		for _, k := range w.keepers {
			if err := k.svc.Sweep(ctx); err != nil {
				return err
			}
		}
	}
	return w.forgotten()
}

// close ends everything that runs.
func (w *world) close() error {
	var errs error
	for _, h := range w.hosts {
		if h.run != nil {
			errs = errors.Join(errs, h.end())
		}
	}
	w.turn.Add(1)
	w.tasks.Wait()
	for _, h := range w.hosts {
		errs = errors.Join(errs, h.driver.Close())
	}
	for _, k := range w.keepers {
		if k.svc != nil {
			errs = errors.Join(errs, k.stop())
		}
	}
	return errs
}
