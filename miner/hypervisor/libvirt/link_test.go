package libvirt

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// soon is a deadline that a hung daemon lets pass.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// briefly is for daemons that hang, patiently for those that are to be found alive on a busy host, too.
const (
	briefly   = 100 * time.Millisecond
	patiently = time.Minute
)

// testLink is a link to a daemon, closed at the end of the test.
func testLink(t *testing.T, d *daemon, silence time.Duration) *link {
	t.Helper()
	k := newLink(d.socket)
	k.silence = silence
	t.Cleanup(k.close)
	return k
}

// returns fails the test at once if f does not return.
func returns[T any](t *testing.T, what string, f func() (T, error)) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := f()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not return", what)
		return nil
	}
}

// reset is a call that nothing but a test's wish answers.
func reset(ctx context.Context, k *link) error {
	return do(ctx, k, func(l *lv.Libvirt) error { return l.DomainReset(lv.Domain{}, 0) })
}

// TestSilentDaemon accepts and says nothing. Whoever waits for the connection does so for as long as his own context lasts.
func TestSilentDaemon(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, none)
	k := testLink(t, d, patiently)
	patient, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _, _ = versions(patient, k) })
	testkit.Until(t, "the first call to connect", func() bool { return d.asked(procAuthList) > 0 })
	for range 3 {
		err := returns(t, "a call with a deadline, beside one that connects,", func() (string, error) { return versions(soon(t), k) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call ends with %v, want its context's error", err)
		}
	}
	if n := d.connections(); n != 1 {
		t.Errorf("%d connections are made at once, want 1", n)
	}
	d.set(all)
	if err := returns(t, "a call after the daemon woke", func() (string, error) { return versions(t.Context(), k) }); err != nil {
		t.Errorf("a call after the daemon woke: %v", err)
	}
}

// TestHungDaemon answers nothing more on a connection that was made. That is made anew.
func TestHungDaemon(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, shaken)
	k := testLink(t, d, briefly)
	err := returns(t, "a call with a deadline", func() (string, error) { return versions(soon(t), k) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the call ends with %v, want its context's error", err)
	}
	// The daemon works again, for who connects again.
	d.set(func(conn, _ int) bool { return conn > 1 })
	testkit.Eventually(t, time.Minute, func() error {
		return returns(t, "a call after the daemon was restarted", func() (string, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return versions(ctx, k)
		})
	})
}

// but answers all but one procedure.
func but(silent int) func(int, int) bool {
	return func(_, proc int) bool { return proc != silent }
}

// TestNoDeadline of their own have calls that are ended all the same.
func TestNoDeadline(t *testing.T) {
	t.Parallel()
	for what, answers := range map[string]func(int, int) bool{"connects": none, "asks": shaken} {
		k := testLink(t, newDaemon(t, answers), briefly)
		k.timeout = time.Second
		errs := make(chan error)
		const callers = 3 * maxCalls
		for range callers {
			go func() {
				_, err := versions(context.WithoutCancel(t.Context()), k)
				errs <- err
			}()
		}
		for range callers {
			err := returns(t, "a call without a deadline", func() (any, error) { return nil, <-errs })
			if !errors.Is(err, hypervisor.ErrHypervisorDown) {
				t.Errorf("a call that %s ends with %v, want ErrHypervisorDown", what, err)
			}
		}
	}
}

// TestSlowIsNotHung has more calls than go at once take longer than any sign of life, and one given up.
func TestSlowIsNotHung(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, but(procReset))
	k := testLink(t, d, 3*time.Second)
	const callers = 5 * maxCalls
	errs := make(chan error)
	for range callers {
		go func() { errs <- reset(t.Context(), k) }()
	}
	testkit.Until(t, "calls", func() bool { return d.asked(procReset) == maxCalls })
	if err := reset(soon(t), k); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more call: %v", err)
	}
	testkit.Until(t, "signs of life", func() bool { return d.asked(procLibVersion) > 1 })
	d.set(all)
	for range callers {
		if err := <-errs; err != nil {
			t.Errorf("a slow call: %v", err)
		}
	}
	if n := d.connections(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}

// TestStuckCalls are those for a VM whose process hangs: libvirtd lives, and never answers them. They leave no goroutine
// behind, and hold up no other call.
func TestStuckCalls(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, but(procReset))
	k := testLink(t, d, patiently)
	for range 5 * maxCalls {
		if err := returns(t, "a stuck call", func() (any, error) { return nil, reset(soon(t), k) }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stuck call: %v", err)
		}
		if err := returns(t, "a call beside stuck ones", func() (string, error) { return versions(t.Context(), k) }); err != nil {
			t.Errorf("a call beside stuck ones: %v", err)
		}
	}
	k.mu.Lock()
	stuck := k.current.stuck
	k.mu.Unlock()
	if stuck >= maxCalls {
		t.Errorf("%d calls are stuck, want less than %d", stuck, maxCalls)
	}
}

// TestTooManyWait has the next caller fail at once.
func TestTooManyWait(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, none)
	k := testLink(t, d, patiently)
	waiting, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range maxWaiting {
		wg.Go(func() { _, _ = versions(waiting, k) })
	}
	testkit.Until(t, "callers", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.waiting == maxWaiting
	})
	err := returns(t, "one too many", func() (string, error) { return versions(t.Context(), k) })
	if !errors.Is(err, hypervisor.ErrHypervisorDown) {
		t.Errorf("one too many: %v, want ErrHypervisorDown", err)
	}
	cancel()
	wg.Wait()
	d.set(all)
	if _, err := versions(t.Context(), k); err != nil {
		t.Errorf("after they left: %v", err)
	}
}

// TestEventsOfHungDaemon are followed again once it answers.
func TestEventsOfHungDaemon(t *testing.T) {
	t.Parallel()
	daemon := newDaemon(t, shaken)
	d := &Driver{link: testLink(t, daemon, briefly), log: slog.New(slog.DiscardHandler)}
	var watching context.Context
	watching, d.stop = context.WithCancel(t.Context())
	d.wg.Go(func() { d.watch(watching) })
	testkit.Until(t, "the events are asked for", func() bool { return daemon.asked(procSubscribe) > 0 })
	daemon.set(func(conn, _ int) bool { return conn > 1 })
	testkit.Until(t, "events", func() bool {
		d.seen.mu.Lock()
		defer d.seen.mu.Unlock()
		return d.seen.follows
	})
	testkit.Check(t, returns(t, "the end", func() (any, error) { return nil, d.Close() }))
}

// TestStartOfHungDaemon returns by its deadline, and takes back what it did when it can; the VM stays locked so long.
func TestStartOfHungDaemon(t *testing.T) {
	t.Parallel()
	m := hypervisor.Definition{
		ID: vmtest.NewID(), InstanceSeq: 1, Generation: 1, Name: "web", VCPUs: 1, MemoryMiB: 32, DiskBytes: 1 << 20,
		DiskKey: vmtest.NewKey(), BaseImage: "/images/a.qcow2", BaseFormat: hypervisor.FormatQcow2,
	}
	daemon := newDaemon(t, but(procCreate))
	dir := testkit.ShortDir(t)
	d := &Driver{
		cfg:  Config{Tag: "a1", StateDir: dir, RunDir: dir},
		link: testLink(t, daemon, patiently), user: owner{os.Getuid(), os.Getgid()}, log: slog.New(slog.DiscardHandler),
	}
	var err error
	daemon.id = m.ID
	daemon.text, err = d.domainXML(m)
	testkit.Check(t, err)
	testkit.Check(t, os.MkdirAll(filepath.Dir(d.root(m.ID)), 0o700))
	testkit.Check(t, os.WriteFile(d.root(m.ID), nil, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	testkit.Check(t, func() error { // as after a start of libvirtd, which may be slow
		_, err := d.look(ctx, m.ID)
		return err
	}())
	done := make(chan error, 1)
	go func() { done <- d.Start(ctx, m.ID, m.DiskKey) }()
	testkit.Until(t, "the start", func() bool { return daemon.asked(procCreate) > 0 || len(done) > 0 })
	daemon.set(none)
	cancel()
	err = returns(t, "a start whose context ended", func() (any, error) { return nil, <-done })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the start ends with %v, want its context's error", err)
	}
	if _, err := d.lock(soon(t), m.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the VM's turn while the disk's key is taken back: %v", err)
	}
	daemon.set(all)
	err = returns(t, "the disk's key is taken back", func() (any, error) {
		unlock, err := d.lock(t.Context(), m.ID)
		if err != nil {
			return nil, err
		}
		unlock()
		return nil, nil
	})
	testkit.Check(t, err)
	if daemon.asked(procForget) != 1 {
		t.Error("the disk's key stays with libvirtd")
	}
}
