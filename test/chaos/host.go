package chaos

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/forget"
	"github.com/hippius/compute/miner/hypervisor/fake"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/secrets"
	"github.com/hippius/compute/miner/seed"
)

// host is a miner's server: the hypervisor, the taps, the disk, and the
// agent's process if it runs.
type host struct {
	w        *world
	name     string
	wallet   *wallet.Wallet
	identity ed25519.PrivateKey
	driver   *fake.Driver
	taps     *taps
	seeds    *seed.Store
	images   *images
	path     string
	run      *process // nil while the agent is down
}

// process is one life of an agent.
type process struct {
	h       *host
	turns   *agent.Turns
	db      *store.DB
	began   time.Time
	ctx     context.Context //nolint:containedctx // it is the process's life
	kill    context.CancelFunc
	heard   bool // of the chain
	tidyAt  time.Time
	wordsAt time.Time

	working sync.WaitGroup
	mu      sync.Mutex
	busy    map[string]bool
	dead    bool
	// trap is the call at which the process is to die, before or after its effect.
	trap      string
	trapAfter bool
}

func newHost(w *world, i int) (*host, error) {
	name := fmt.Sprintf("miner%d", i)
	a := apptest.Named(name)
	wal, err := wallet.FromKey(a.Key.Key)
	if err != nil {
		return nil, err
	}
	h := &host{
		w: w, name: name, wallet: wal, identity: key(name), path: filepath.Join(w.dir, name+".db"),
		taps: &taps{ports: map[vm.ID]int{}}, images: &images{},
	}
	if h.seeds, err = seed.NewStore(seed.Config{Dir: filepath.Join(w.dir, name+"-seeds"), Group: -1, AnyFilesystem: true}); err != nil {
		return nil, err
	}
	h.driver, err = fake.New(fake.Config{
		Dir: filepath.Join(w.dir, name), Boot: w.chance.between(1, 6) + time.Duration(331+2*i)*time.Millisecond, Guest: w.guests.run,
	})
	return h, err
}

// start starts the agent on what an earlier one left, or on what one left long
// ago: an operator has restored a copy.
func (h *host) start() error {
	if ch := h.w.chance; h.w.odd() && ch.often(15) {
		if err := copyFile(h.path+".copy", h.path); err == nil {
			h.w.trace.note("%s's state is an older copy", h.name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	} else if ch.often(30) {
		if err := copyFile(h.path, h.path+".copy"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	db, err := store.Open(h.path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{h: h, db: db, began: time.Now(), ctx: ctx, kill: cancel, busy: map[string]bool{}, tidyAt: time.Now(), wordsAt: time.Now()}
	c := h.w.chain.client(h.name, false)
	log := slog.New(slog.DiscardHandler)
	// No interval divides a deadline: of two timers at the same time either may come first.
	a, err := agent.New(agent.Config{
		ChainID: c.ChainID(), Miner: h.wallet.Address(), ProofEvery: 4700 * time.Millisecond, BootTimeout: time.Minute,
		StopTimeout: 20 * time.Second, GiveUp: time.Minute,
	}, agent.Parts{
		Chain:     &ports{p, miner.Chain{Client: c, Sender: c.NewSender(h.wallet)}},
		Catalogue: h.w.god,
		Secrets: &portSecrets{p, secrets.New(secrets.Config{
			ChainID: c.ChainID(), Chain: c, Dial: dialer{h.w, h.name, h.identity}, Log: log, Pause: 700 * time.Millisecond,
		})},
		Images: &portImages{p, h.images}, Network: &portNetwork{p, h.taps}, Seeds: &portSeeds{p, h.seeds},
		Mesh: noMesh{}, Driver: &portDriver{h.driver, p}, State: record.New(db), Orders: forget.New(h.path + ".forget"), Log: log,
	})
	if err == nil {
		p.turns, err = a.Turns()
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	h.run = p
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// end kills the process as kill -9 does: what it had in memory is gone, and
// nothing it was about to do happens.
func (h *host) end() error {
	p := h.run
	h.run = nil
	p.die()
	p.working.Wait()
	p.turns.End()
	return p.db.Close()
}

func (p *process) die() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.kill()
}

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// turn lets the process do one thing, as far as it gets by itself now, unless
// it is at it still.
func (p *process) turn(what string, do func(ctx context.Context)) {
	p.mu.Lock()
	if p.busy[what] || p.dead {
		p.mu.Unlock()
		return
	}
	p.busy[what] = true
	p.mu.Unlock()
	p.working.Go(func() {
		do(p.ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.busy, what)
	})
	p.h.w.pass(0)
}

// intervals of what an agent does without cause.
const (
	wordsEvery = 20 * time.Second
	tidyEvery  = 2 * time.Minute
	// chainTimeout is how long the chain is waited for before the agent acts on what it remembers.
	chainTimeout = 10 * time.Second
)

// act gives the agent its turns of one second, in an order the seed decides.
func (h *host) act() error {
	p := h.run
	if p == nil {
		return nil
	}
	ch := h.w.chance
	var todo []func()
	if ch.often(70) {
		todo = append(todo, func() {
			p.turn("follow", func(ctx context.Context) {
				if p.turns.Follow(ctx) == nil {
					p.heard = true
				}
			})
		})
	}
	if ch.often(70) {
		todo = append(todo, func() { p.turn("report", func(ctx context.Context) { _ = p.turns.Report(ctx, false) }) }) // tried again
	}
	if time.Since(p.wordsAt) >= wordsEvery {
		p.wordsAt = time.Now()
		todo = append(todo, func() { p.turn("report", func(ctx context.Context) { _ = p.turns.Report(ctx, true) }) })
	}
	if p.heard && time.Since(p.tidyAt) >= tidyEvery {
		p.tidyAt = time.Now()
		todo = append(todo, func() { p.turn("tidy", p.turns.Tidy) })
	}
	if p.heard || time.Since(p.began) > chainTimeout {
		ids, err := p.turns.VMs(p.ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if ch.often(60) {
				todo = append(todo, func() {
					p.turn(string(id), func(ctx context.Context) { _, _ = p.turns.Reconcile(ctx, id) }) // tried again
				})
			}
		}
	}
	ch.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for _, do := range todo {
		do()
	}
	if p.isDead() {
		h.w.trace.note("%s died in %s", h.name, p.trap)
		return h.end()
	}
	return nil
}
