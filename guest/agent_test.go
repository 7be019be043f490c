package guest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/guest"
)

// member is a mesh that only remembers.
type member struct {
	updates chan wire.Mesh
	done    chan struct{}
}

func (m *member) Update(u wire.Mesh) error {
	m.updates <- u
	return nil
}
func (m *member) Done() <-chan struct{} { return m.done }
func (m *member) Close() error          { return nil }

// bench is an agent with a test's root, mesh, channel and clock around it.
type bench struct {
	root  string
	hosts chan net.Conn // one for each time the channel was opened
	joins chan wire.Config
	steps chan time.Duration
	ends  chan bool
	joinE atomic.Pointer[error]
	last  atomic.Pointer[member]
}

func startAgent(t *testing.T) *bench {
	t.Helper()
	return startAgentAt(t, t.TempDir())
}

func startAgentAt(t *testing.T, root string) *bench {
	t.Helper()
	b := &bench{
		root: root, hosts: make(chan net.Conn), joins: make(chan wire.Config, 64),
		steps: make(chan time.Duration, 8), ends: make(chan bool, 8),
	}
	a := guest.New(guest.Config{
		System: &guest.System{Root: b.root}, Version: "test",
		Log: slog.New(slog.DiscardHandler), Pause: 20 * time.Millisecond,
		Join: func(_ context.Context, cfg wire.Config) (guest.Member, error) {
			b.joins <- cfg
			if err := b.joinE.Load(); err != nil {
				return nil, *err
			}
			m := &member{updates: make(chan wire.Mesh, 8), done: make(chan struct{})}
			b.last.Store(m)
			return m, nil
		},
		Open: func() (io.ReadWriteCloser, error) {
			host, near := net.Pipe()
			select {
			case b.hosts <- host:
				return near, nil
			case <-t.Context().Done():
				return nil, errors.New("over")
			}
		},
		StepClock: func(d time.Duration) error { b.steps <- d; return nil },
		End:       func(reboot bool) error { b.ends <- reboot; return nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("agent ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("agent outlives its context")
		}
	})
	return b
}

func get[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s within 10 s", what)
	}
	panic("unreachable")
}

func TestAgent(t *testing.T) {
	t.Parallel()
	b := startAgent(t)
	time.Sleep(50 * time.Millisecond) // it waits for a seed that comes late
	cfg, _ := testConfig(t)
	cfg.Mesh.Lighthouses = []wire.Lighthouse{{Address: "100.127.0.1"}}
	writeSeed(t, filepath.Join(b.root, "dev/disk/by-label/CIDATA"), "CIDATA", cfg)

	if got := get(t, "join", b.joins); len(got.Mesh.Lighthouses) != 1 {
		t.Errorf("joined with %+v", got.Mesh)
	}
	host := get(t, "channel", b.hosts)
	send := func(m wire.ToGuest) {
		t.Helper()
		if err := wire.WriteMessage(host, m); err != nil {
			t.Fatal(err)
		}
	}
	greeting := make(chan wire.ToHost, 64)
	drain := func(c net.Conn) {
		in := wire.NewReader(c)
		for {
			var m wire.ToHost
			if in.Next(&m) != nil {
				return
			}
			greeting <- m
		}
	}
	go drain(host)
	if m := get(t, "hello", greeting); m.Hello == nil || m.Hello.VMID != testVM {
		t.Errorf("hello %+v", m)
	}

	send(wire.ToGuest{Mesh: &wire.Mesh{Blocklist: []string{"aa"}}})
	if m := get(t, "update", b.last.Load().updates); len(m.Blocklist) != 1 {
		t.Errorf("update %+v", m)
	}
	// A clock behind is proven by one message, and stepped.
	send(wire.ToGuest{UnixMilli: time.Now().Add(time.Hour).UnixMilli()})
	if d := get(t, "step", b.steps); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("stepped by %s, want an hour", d)
	}
	// A request that is older than the boot was waiting in a buffer.
	send(wire.ToGuest{Shutdown: &wire.Shutdown{}, UnixMilli: 1000})
	send(wire.ToGuest{Shutdown: &wire.Shutdown{Reboot: true}, UnixMilli: time.Now().UnixMilli()})
	if reboot := get(t, "end", b.ends); !reboot {
		t.Error("obeyed a shutdown from before the boot")
	}
	// The channel comes back, and so does the mesh, with what was last told.
	_ = host.Close()
	host = get(t, "channel again", b.hosts)
	go drain(host)
	close(b.last.Load().done)
	if got := get(t, "join again", b.joins); len(got.Mesh.Blocklist) != 1 {
		t.Errorf("joined again with %+v", got.Mesh)
	}
}

func TestAgentProvesOnceSSHAnswers(t *testing.T) {
	t.Parallel()
	b := startAgent(t)
	cfg, _ := testConfig(t)
	writeSeed(t, filepath.Join(b.root, "dev/disk/by-label/CIDATA"), "CIDATA", cfg)
	host := get(t, "channel", b.hosts)
	if err := host.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := wire.NewReader(host)
	next(t, in)
	ask := func(height int64) {
		t.Helper()
		if err := wire.WriteMessage(host, wire.ToGuest{Challenge: &wire.Challenge{Height: height, Hash: []byte{1}}}); err != nil {
			t.Fatal(err)
		}
	}
	ask(1)
	ask(2)
	began := (&guest.System{Root: b.root}).Uptime() + time.Hour // it has surely read its keys
	write(t, b.root, "proc/4242/stat", fmt.Sprintf("4242 (sshd) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 0 0\n", began.Milliseconds()/10))
	write(t, b.root, "run/sshd.pid", "4242\n")
	for m := next(t, in); m.Hello == nil; m = next(t, in) {
		if m.Proof != nil && m.Proof.Height == 1 {
			t.Fatal("proven alive before an sshd was seen")
		}
	}
	ask(3)
	for m := next(t, in); m.Proof == nil || m.Proof.Height != 3; m = next(t, in) {
	}
}

func TestAgentTellsOfProblems(t *testing.T) {
	t.Parallel()
	b := startAgent(t)
	err := errors.New("certificate is not valid yet")
	b.joinE.Store(&err)
	write(t, b.root, "etc/ssh/hippius", "a file where a folder should be")
	cfg, _ := testConfig(t)
	writeSeed(t, filepath.Join(b.root, "dev/disk/by-label/CIDATA"), "CIDATA", cfg)
	get(t, "join", b.joins)
	get(t, "second join", b.joins)
	host := get(t, "channel", b.hosts)
	if err := host.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	h := next(t, wire.NewReader(host)).Hello
	if h == nil || h.MeshUp || h.Error == "" {
		t.Errorf("hello %+v, want the mesh down and both problems told", h)
	}
}
