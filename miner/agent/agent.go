package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/reconcile"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/report"
)

// Config of an Agent. Zero durations have the defaults in brackets.
type Config struct {
	ChainID string
	// Miner is the operator's address, by which the chain names this miner.
	Miner string
	// AgentISO is the path of the shared CD.
	AgentISO string

	// Poll the chain this often (500 ms).
	Poll time.Duration
	// ReportEvery is the time between full batches (30 s); news waits Gather (50 ms).
	ReportEvery, Gather time.Duration
	// ProofEvery is how often a guest is challenged (5 s).
	ProofEvery time.Duration
	// BootTimeout from a VM's start to its first proof (12 min).
	BootTimeout time.Duration
	// StopTimeout is how long a guest may take to shut down or reboot before it is forced off (90 s).
	StopTimeout time.Duration
	// GiveUp is how long a VM without data is tried before this miner says that it failed (3 min).
	GiveUp time.Duration
	// SecretsGiveUp is how long a VM without data is tried whose secrets cannot be collected (5 min).
	SecretsGiveUp time.Duration
	// MeshEvery is how often lighthouses and revocations are looked at (5 s).
	MeshEvery time.Duration
	// TidyEvery is how often leftovers are looked for (10 min).
	TidyEvery time.Duration
	// RoomEvery is how often the trash is looked at for what has to give way to disks that grow (10 s).
	RoomEvery time.Duration
	// Resync is how often every VM is looked at without cause (30 s).
	Resync time.Duration
	// Retry is the delay after a first error (200 ms); it doubles up to 30 times itself.
	Retry time.Duration
	// Offer gives the capacity that is registered, false before it is. New VMs
	// beyond it are refused; nil refuses none.
	Offer func() (node.Capacity, bool)
	// Workers is how many VMs are worked on at once (32), those that wait for a guest, keepers or a download not counted.
	Workers int
}

// SecretsGiveUp is the default. The chain waits for longer: what a miner gives back itself is told with its reason.
const SecretsGiveUp = 5 * time.Minute

func (c *Config) defaults() {
	for _, d := range []struct {
		v  *time.Duration
		or time.Duration
	}{
		{&c.Poll, 500 * time.Millisecond},
		{&c.ReportEvery, 30 * time.Second},
		{&c.Gather, 50 * time.Millisecond},
		{&c.ProofEvery, 5 * time.Second},
		{&c.BootTimeout, 12 * time.Minute},
		{&c.StopTimeout, 90 * time.Second},
		{&c.GiveUp, 3 * time.Minute},
		{&c.SecretsGiveUp, SecretsGiveUp},
		{&c.MeshEvery, 5 * time.Second},
		{&c.TidyEvery, 10 * time.Minute},
		{&c.RoomEvery, 10 * time.Second},
		{&c.Resync, 30 * time.Second},
		{&c.Retry, 200 * time.Millisecond},
	} {
		if *d.v <= 0 {
			*d.v = d.or
		}
	}
	if c.Workers <= 0 {
		c.Workers = 32
	}
}

// Parts are what an agent works with; all are required.
type Parts struct {
	Chain     Chain
	Catalogue provision.Catalogue
	Secrets   provision.Secrets
	Images    provision.Images
	Network   provision.Network
	Seeds     provision.Seeds
	Mesh      Mesh
	Driver    hypervisor.Driver
	State     *record.Store
	Orders    Orders
	Log       *slog.Logger
}

// Agent makes this host match the chain.
type Agent struct {
	Parts

	c           Config
	loop        *reconcile.Loop[vm.ID]
	reporter    *report.Reporter
	provisioner *provision.Provisioner
	lookSooner  chan struct{} // at the chain
	head        atomic.Pointer[vm.Head]
	followed    atomic.Int64 // unix nanoseconds of the last answer

	mu             sync.Mutex
	vms            map[vm.ID]*vmState
	meshes         map[string]*wire.Mesh // by owner
	working        map[vm.ID]work
	admitted       map[vm.ID]node.Demand // what new VMs take, until a disk says so
	unknownDomains map[vm.ID]bool        // that are left alone, already told of
}

// New makes an agent; Run starts it.
func New(c Config, p Parts) (*Agent, error) {
	c.defaults()
	if c.ChainID == "" || c.Miner == "" {
		return nil, errors.New("agent: chain id and miner's address are needed")
	}
	a := &Agent{
		Parts: p, c: c, lookSooner: make(chan struct{}, 1),
		vms: map[vm.ID]*vmState{}, meshes: map[string]*wire.Mesh{}, working: map[vm.ID]work{}, unknownDomains: map[vm.ID]bool{},
		admitted: map[vm.ID]node.Demand{},
	}
	a.reporter = report.New(report.Config{Chain: p.Chain, Every: c.ReportEvery, Gather: c.Gather, Pace: min(c.ReportEvery/2, report.FreeEvery), Answered: a.answered, Log: p.Log})
	a.provisioner = provision.New(provision.Config{
		ChainID: c.ChainID, AgentISO: c.AgentISO, Catalogue: p.Catalogue, Secrets: p.Secrets, Images: p.Images,
		Network: p.Network, Seeds: p.Seeds, Driver: p.Driver, Notes: p.State,
	})
	a.loop = reconcile.New(a.reconcile, reconcile.Options[vm.ID]{
		List: a.list, Resync: c.Resync, Workers: c.Workers, MinBackoff: c.Retry, MaxBackoff: 30 * c.Retry, Log: p.Log,
	})
	return a, nil
}

// Run works until ctx ends. VMs run on after it.
func (a *Agent) Run(ctx context.Context) error {
	chain, err := a.follower()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return chain.Run(ctx) })
	g.Go(func() error {
		a.awaitChain(ctx)
		return a.loop.Run(ctx)
	})
	g.Go(func() error { return a.reporter.Run(ctx, a.opening()) })
	g.Go(func() error { return a.keepMeshes(ctx) })
	g.Go(func() error { return a.keepTidy(ctx) })
	g.Go(func() error { return a.keepRoom(ctx) })
	g.Go(func() error { return a.keepProofs(ctx) })
	g.Go(func() error {
		for id := range a.Driver.Events(ctx) {
			if id == "" {
				a.pokeAll(ctx)
				continue
			}
			a.loop.Poke(id)
		}
		return nil
	})
	err = g.Wait()
	a.closeChannels()
	return err
}

// opening is how long the first report waits for something to say: an empty one would keep the last agent's proofs
// from the chain for a block longer.
func (a *Agent) opening() time.Duration {
	const wait = 2 * time.Second
	if all, err := a.State.All(); err != nil || len(all) == 0 {
		return 0
	}
	return wait
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// closeChannels lets go of all guests.
func (a *Agent) closeChannels() {
	a.mu.Lock()
	vms := a.vms
	a.vms = map[vm.ID]*vmState{}
	a.mu.Unlock()
	for _, u := range vms {
		u.closeChannel()
	}
}

// awaitChain waits briefly for the chain to say what changed while the agent was
// away. Without it the stored state is what there is to go by.
func (a *Agent) awaitChain(ctx context.Context) {
	const timeout = 10 * time.Second
	for began := time.Now(); a.followed.Load() == 0 && time.Since(began) < timeout; {
		if !sleep(ctx, a.c.Poll/4) {
			return
		}
	}
}

func (a *Agent) list(context.Context) ([]vm.ID, error) {
	records, err := a.State.All()
	if err != nil {
		return nil, err
	}
	ids := make([]vm.ID, len(records))
	for i, r := range records {
		ids[i] = r.VM.ID
	}
	return ids, nil
}

func (a *Agent) pokeAll(ctx context.Context) {
	ids, err := a.list(ctx)
	if err != nil {
		a.Log.Error("list VMs", "error", err)
		return
	}
	for _, id := range ids {
		a.loop.Poke(id)
	}
}

// answered is told what the chain said of a report: either way there may be
// something new to see there.
func (a *Agent) answered(vm.ID, bool) {
	select {
	case a.lookSooner <- struct{}{}:
	default:
	}
}

// Ready says why the agent does not do its work, or nil: it has not heard of
// the chain for a while.
func (a *Agent) Ready() error {
	at := a.followed.Load()
	if at == 0 {
		return errors.New("the chain was not heard yet")
	}
	const longest = 30 * time.Second
	if since := time.Since(time.Unix(0, at)); since > longest {
		return fmt.Errorf("the chain was not heard for %s", since.Round(time.Second))
	}
	return nil
}

// Owner gives the account that a VM belongs to, if this miner holds it.
func (a *Agent) Owner(id vm.ID) (owner string, ok bool, err error) {
	r, ok, err := a.State.Get(id)
	if err != nil || !ok || r.Released {
		return "", false, err
	}
	return r.VM.Owner, true, nil
}

// Guests tells what the guests here said of themselves, by VM.
func (a *Agent) Guests() map[vm.ID]guestchannel.Info {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[vm.ID]guestchannel.Info, len(a.vms))
	for id, u := range a.vms {
		if l := u.getChannel(); l != nil {
			out[id] = l.Info()
		}
	}
	return out
}
