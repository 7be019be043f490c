package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	wire "github.com/hippius/compute/core/guest"
)

// TunName is the mesh's interface inside the guest.
const TunName = "hippius0"

// proveLatest is how long after its start the agent waits for an sshd that
// answers before it proves the VM alive: so long it is not charged, and
// "running" means that its tenant can log in. An image may have none.
const proveLatest = time.Minute

// Member is a running member of the mesh.
type Member interface {
	// Update takes changed lighthouses and revocations.
	Update(m wire.Mesh) error
	// Done is closed when the member has stopped.
	Done() <-chan struct{}
	Close() error
}

// Config of an agent. A nil func is the real thing.
type Config struct {
	System *System
	// Join brings the mesh's interface up.
	Join func(ctx context.Context, cfg wire.Config) (Member, error)
	// Open the channel; System.OpenPort if nil.
	Open func() (io.ReadWriteCloser, error)
	// StepClock by a duration; System.StepClock if nil.
	StepClock func(d time.Duration) error
	// End the VM; System.End if nil.
	End     func(reboot bool) error
	Version string
	Log     *slog.Logger
	// Pause before a failed step is tried again, doubling up to 30 times
	// itself; 0 means 1 second.
	Pause time.Duration
}

// Agent is the program inside the guest.
type Agent struct {
	c       Config
	updates chan wire.Mesh // holds the newest only
	poke    chan struct{}  // wakes a mesh that waits to be tried again
	skew    skew
	ready   chan struct{} // closed when sshd answers with its key, or is no longer waited for

	mu       sync.Mutex
	meshUp   bool
	problems map[string]string
	mesh     *wire.Mesh // newest, once the miner sent one
}

// New makes an agent; Run starts it.
func New(c Config) *Agent {
	if c.Open == nil {
		c.Open = func() (io.ReadWriteCloser, error) { return c.System.OpenPort() }
	}
	if c.StepClock == nil {
		c.StepClock = c.System.StepClock
	}
	if c.End == nil {
		c.End = c.System.End
	}
	if c.Pause <= 0 {
		c.Pause = time.Second
	}
	return &Agent{
		c: c, updates: make(chan wire.Mesh, 1), poke: make(chan struct{}, 1),
		ready: make(chan struct{}), problems: map[string]string{},
	}
}

// Run works until ctx ends. What fails is tried again for ever: the miner
// hears of it, the unit restarts only what crashed.
func (a *Agent) Run(ctx context.Context) error {
	cfg, err := a.readConfig(ctx)
	if err != nil {
		return err
	}
	a.c.Log.Info("seed read", "vm_id", cfg.VMID, "instance_seq", cfg.Seq)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.keepChannel(ctx, cfg) })
	settled, done := context.WithTimeout(ctx, proveLatest)
	defer done()
	context.AfterFunc(settled, sync.OnceFunc(func() { close(a.ready) }))
	g.Go(func() error {
		defer done()
		return a.keepHostKey(ctx, cfg)
	})
	g.Go(func() error { return a.keepMesh(ctx, cfg) })
	g.Go(func() error { return a.keepRoot(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// readConfig waits for a readable seed.
func (a *Agent) readConfig(ctx context.Context) (wire.Config, error) {
	var cfg wire.Config
	err := a.retry(ctx, "seed", func() error {
		var err error
		cfg, err = a.c.System.ReadConfig()
		return err
	})
	return cfg, err
}

// retry calls f until it succeeds or ctx ends, which is its only error.
func (a *Agent) retry(ctx context.Context, task string, f func() error) error {
	pause := a.c.Pause
	for {
		err := f()
		a.problem(task, err)
		if err == nil {
			return nil
		}
		a.c.Log.Warn("will try again", "task", task, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 30*a.c.Pause)
	}
}

// problem records or clears what keeps a task from its end.
func (a *Agent) problem(task string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.problems, task)
		return
	}
	a.problems[task] = err.Error()
}

func (a *Agent) status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, task := range []string{"ssh", "mesh", "clock", "disk"} {
		if p, ok := a.problems[task]; ok {
			all = append(all, task+": "+p)
		}
	}
	return Status{MeshUp: a.meshUp, Problem: strings.Join(all, "; ")}
}

// keepChannel talks to the miner, opening the port anew whenever it ends.
func (a *Agent) keepChannel(ctx context.Context, cfg wire.Config) error {
	opts := Options{
		Version: a.c.Version, Status: a.status, Metrics: a.c.System.Metrics,
		Mesh: a.takeMesh, Shutdown: a.shutdown, Clock: a.clock,
		Ready: a.ready, Every: 5 * time.Second, Log: a.c.Log,
	}
	last := ""
	for {
		err := a.converse(ctx, cfg, opts)
		// A host that is not attached ends the stream at once, again and again.
		if err != nil && err.Error() != last && !errors.Is(err, io.EOF) {
			last = err.Error()
			a.c.Log.Warn("channel ended", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(a.c.Pause / 4):
		}
	}
}

func (a *Agent) converse(ctx context.Context, cfg wire.Config, opts Options) error {
	port, err := a.c.Open()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	err = Serve(ctx, cfg, port, opts)
	_ = port.Close() // Serve may have closed it to wake its reader
	return err
}

func (a *Agent) takeMesh(m wire.Mesh) {
	a.mu.Lock()
	a.mesh = &m
	a.mu.Unlock()
	select {
	case <-a.updates:
	default:
	}
	a.updates <- m // only this goroutine sends: there is room
}

// clock steps the clock when the miner's time proves it wrong.
func (a *Agent) clock(sent time.Time) {
	d := a.skew.observe(sent, time.Now(), a.c.System.Uptime())
	if d == 0 {
		return
	}
	err := a.c.StepClock(d)
	a.problem("clock", err)
	if err != nil {
		a.c.Log.Error("step clock", "error", err)
		return
	}
	a.c.Log.Info("clock stepped", "skew_ms", d.Milliseconds())
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// shutdown obeys, unless the request is older than this boot: it may have
// waited in a buffer while the VM restarted.
func (a *Agent) shutdown(r wire.Shutdown, sent time.Time) {
	if time.Since(sent) > a.c.System.Uptime() {
		a.c.Log.Warn("shutdown request is from before this boot", "sent_at", sent)
		return
	}
	a.c.Log.Info("shutdown requested", "reboot", r.Reboot)
	if err := a.c.End(r.Reboot); err != nil {
		a.c.Log.Error("shut down", "error", err)
	}
}
