package device_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/mesh/device"
)

// loop is a mesh that is the host's own loopback: it works, and connects to
// whatever listens there.
type loop struct {
	done   chan struct{}
	closed atomic.Bool
	block  bool // never connects
}

func (l *loop) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if l.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (l *loop) Done() <-chan struct{} { return l.done }

func (l *loop) Close() error {
	l.closed.Store(true)
	return nil
}

// process is a server in a folder of its own.
type process struct {
	device.Options
	session *loop
	opens   atomic.Int32
}

func newProcess(t *testing.T) *process {
	t.Helper()
	dir := testkit.ShortDir(t)
	p := &process{session: &loop{done: make(chan struct{})}}
	p.Options = device.Options{
		SocketPath: filepath.Join(dir, "run", "mesh.sock"), LockPath: filepath.Join(dir, "run", "mesh.lock"),
		IdleTimeout: time.Hour,
		Open: func(context.Context) (device.Session, error) {
			p.opens.Add(1)
			return p.session, nil
		},
	}
	return p
}

// serve runs it until the test ends and gives its end.
func (p *process) serve(t *testing.T) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- device.Serve(ctx, p.Options, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ended
}

func (p *process) up(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, device.EnsureRunning(ctx, p.SocketPath, func() error { return nil }))
}

func (p *process) dial(t *testing.T, to netip.AddrPort) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		conn, err := device.Dial(ctx, p.SocketPath, to)
		// The place of one who was answered is free shortly after.
		if refused := (*device.RefusedError)(nil); errors.As(err, &refused) && refused.Kind == device.KindBusy && ctx.Err() == nil {
			continue
		}
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

// host serves TCP connections with f.
func host(t *testing.T, f func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				f(c)
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func TestManyStreamsAtOnce(t *testing.T) {
	p := newProcess(t)
	p.serve(t)
	p.up(t)
	to := host(t, echo)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			conn, err := device.Dial(ctx, p.SocketPath, to)
			if err != nil {
				t.Errorf("stream %d: %v", i, err)
				return
			}
			defer func() { _ = conn.Close() }()
			sent := make([]byte, 64<<10)
			_, _ = rand.Read(sent)
			go func() {
				_, _ = conn.Write(sent)
				_ = conn.(interface{ CloseWrite() error }).CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(sent, got) {
				t.Errorf("stream %d: %d of %d bytes: %v", i, len(got), len(sent), err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, p.opens.Load())
}

func TestHalvesCloseApart(t *testing.T) {
	p := newProcess(t)
	p.serve(t)
	p.up(t)
	t.Run("the client's first", func(t *testing.T) {
		conn := p.dial(t, host(t, func(c *net.TCPConn) {
			b, _ := io.ReadAll(c) // ends only when the client's half does
			_, _ = fmt.Fprintf(c, "got %d", len(b))
		}))
		_, err := conn.Write([]byte("12345"))
		require.NoError(t, err)
		require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "got 5", string(got))
	})
	t.Run("the host's first", func(t *testing.T) {
		later := make(chan string, 1)
		conn := p.dial(t, host(t, func(c *net.TCPConn) {
			_, _ = c.Write([]byte("hello at once")) // may arrive with the answer
			_ = c.CloseWrite()
			b, _ := io.ReadAll(c)
			later <- string(b)
		}))
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "hello at once", string(got))
		_, err = conn.Write([]byte("still here"))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.Equal(t, "still here", <-later)
	})
	t.Run("a client that dies takes its stream along", func(t *testing.T) {
		gone := make(chan struct{})
		conn := p.dial(t, host(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c); close(gone) }))
		require.NoError(t, conn.Close())
		select {
		case <-gone:
		case <-time.After(5 * time.Second):
			t.Fatal("the stream outlives its client")
		}
	})
}

func TestIdleEnd(t *testing.T) {
	p := newProcess(t)
	p.IdleTimeout = 150 * time.Millisecond
	ended := p.serve(t)
	p.up(t)
	conn := p.dial(t, host(t, echo))
	select {
	case err := <-ended:
		t.Fatalf("ended with a stream open: %v", err)
	case <-time.After(4 * p.IdleTimeout):
	}
	require.NoError(t, conn.Close())
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("does not end when idle")
	}
	require.True(t, p.session.closed.Load(), "the mesh is left")
	require.NoFileExists(t, p.SocketPath)
	_, err := device.Dial(t.Context(), p.SocketPath, netip.MustParseAddrPort("127.0.0.1:1"))
	require.ErrorIs(t, err, device.ErrNotRunning)
}

// Many commands start at once: one process serves them all, the others end.
func TestRaceOfStarters(t *testing.T) {
	p := newProcess(t)
	to := host(t, echo)
	ctx, cancel := context.WithCancel(context.Background())
	var servers, clients sync.WaitGroup
	var lost atomic.Int32
	var spawned atomic.Int32
	spawn := func() error { //nolint:unparam // the client's hook may fail, this one does not
		spawned.Add(1)
		servers.Go(func() {
			err := device.Serve(ctx, p.Options, slog.New(slog.DiscardHandler))
			if errors.Is(err, device.ErrAlreadyRunning) {
				lost.Add(1)
			} else if err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return nil
	}
	for range 16 {
		clients.Go(func() {
			within, done := context.WithTimeout(ctx, 20*time.Second)
			defer done()
			conn, err := device.DialOrSpawn(within, p.SocketPath, to, spawn)
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			_ = conn.Close()
		})
	}
	clients.Wait()
	require.EqualValues(t, 1, p.opens.Load(), "the mesh was joined once")
	require.Eventually(t, func() bool { return lost.Load() == spawned.Load()-1 }, 30*time.Second, 10*time.Millisecond)
	cancel()
	servers.Wait()
}

// Clients keep coming while processes keep ending: nobody is lost between two.
func TestHandover(t *testing.T) {
	p := newProcess(t)
	p.IdleTimeout = 40 * time.Millisecond
	to := host(t, echo)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	var servers sync.WaitGroup
	spawn := func() error {
		servers.Go(func() {
			if err := device.Serve(ctx, p.Options, slog.New(slog.DiscardHandler)); err != nil && !errors.Is(err, device.ErrAlreadyRunning) {
				t.Errorf("serve: %v", err)
			}
		})
		return nil
	}
	for i := range 30 {
		conn, err := device.DialOrSpawn(ctx, p.SocketPath, to, spawn)
		require.NoError(t, err, i)
		require.NoError(t, conn.Close())
		time.Sleep(p.IdleTimeout + time.Duration(i%9-4)*time.Millisecond)
	}
	cancel()
	servers.Wait()
	require.Greater(t, p.opens.Load(), int32(1), "processes did end in between")
}

func TestCrashLeftoverIsReplaced(t *testing.T) {
	p := newProcess(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(p.SocketPath), 0o700))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.SocketPath})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close()) // as a crash would: the file stays
	require.FileExists(t, p.SocketPath)
	_, err = device.Dial(t.Context(), p.SocketPath, netip.MustParseAddrPort("127.0.0.1:1"))
	require.ErrorIs(t, err, device.ErrNotRunning)

	p.serve(t)
	p.up(t)
	info, err := os.Stat(p.SocketPath)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	dir, err := os.Stat(filepath.Dir(p.SocketPath))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), dir.Mode().Perm())
}

func TestRefusals(t *testing.T) {
	p := newProcess(t)
	p.MaxStreams = 3
	p.serve(t)
	p.up(t)
	nobody := host(t, echo)
	closed := netip.AddrPortFrom(nobody.Addr(), 1)
	var refused *device.RefusedError

	_, err := device.Dial(t.Context(), p.SocketPath, closed)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, device.KindRefused, refused.Kind)

	conns := []net.Conn{p.dial(t, nobody), p.dial(t, nobody), p.dial(t, nobody)}
	_, err = device.Dial(t.Context(), p.SocketPath, nobody)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, device.KindBusy, refused.Kind)
	require.NoError(t, conns[0].Close())
	require.Eventually(t, func() bool {
		c, err := device.Dial(t.Context(), p.SocketPath, nobody)
		return err == nil && c.Close() == nil
	}, 30*time.Second, 10*time.Millisecond)
	for _, c := range conns {
		_ = c.Close()
	}

	_, err = device.Dial(t.Context(), "/"+strings.Repeat("x", 200), nobody)
	require.ErrorContains(t, err, "1 to 103 bytes")
	_, err = device.Dial(t.Context(), p.SocketPath, netip.AddrPort{})
	require.ErrorContains(t, err, "invalid target")

	for name, line := range map[string]string{
		"rubbish":       "rubbish\n",
		"too long":      `{"v":1,"target":"` + strings.Repeat("1", 2000) + "\"}\n",
		"a newer hello": `{"v":2,"target":"127.0.0.1:1"}` + "\n",
	} {
		require.Eventually(t, func() bool { // once the streams above are gone
			c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", p.SocketPath)
			require.NoError(t, err)
			require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
			_, _ = c.Write([]byte(line))
			got, _ := io.ReadAll(c)
			require.NoError(t, c.Close())
			return strings.Contains(string(got), `"kind":"failed"`)
		}, 30*time.Second, 10*time.Millisecond, name)
	}
}

func TestSlowHosts(t *testing.T) {
	p := newProcess(t)
	p.session.block = true
	p.serve(t)
	p.up(t)
	to := netip.MustParseAddrPort("127.0.0.1:1")
	t.Run("the server answers before the client's time is up", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := device.Dial(ctx, p.SocketPath, to)
		var refused *device.RefusedError
		require.ErrorAs(t, err, &refused)
		require.True(t, refused.Timeout())
	})
	t.Run("a client may give up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := device.Dial(ctx, p.SocketPath, to)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("and its attempt ends with it", func(t *testing.T) {
		q := newProcess(t)
		q.session.block = true
		q.IdleTimeout = time.Second
		ended := q.serve(t)
		q.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := device.Dial(ctx, q.SocketPath, to)
		require.ErrorIs(t, err, context.Canceled)
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			t.Fatal("an abandoned attempt keeps the process")
		}
	})
}

func TestMeshThatDoesNotStart(t *testing.T) {
	p := newProcess(t)
	p.Open = func(context.Context) (device.Session, error) {
		return nil, errors.New("certificate has expired")
	}
	ended := p.serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := device.DialOrSpawn(ctx, p.SocketPath, netip.MustParseAddrPort("127.0.0.1:1"), func() error { return nil })
	var refused *device.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, device.KindStart, refused.Kind)
	require.ErrorContains(t, err, "certificate has expired")
	require.ErrorContains(t, <-ended, "certificate has expired")
}

func TestMeshThatGoesDown(t *testing.T) {
	p := newProcess(t)
	ended := p.serve(t)
	p.up(t)
	conn := p.dial(t, host(t, echo))
	close(p.session.done)
	require.ErrorContains(t, <-ended, "went down")
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestUnsafeFolders(t *testing.T) {
	p := newProcess(t)
	dir := filepath.Dir(p.SocketPath)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777)) //nolint:gosec // the case under test
	require.ErrorIs(t, device.Serve(t.Context(), p.Options, slog.New(slog.DiscardHandler)), device.ErrUnsafe)
	require.NoError(t, os.Chmod(dir, 0o700)) //nolint:gosec // a folder
	require.NoError(t, os.WriteFile(p.SocketPath, []byte("precious"), 0o600))
	require.ErrorContains(t, device.Serve(t.Context(), p.Options, slog.New(slog.DiscardHandler)), "not a socket")
	require.FileExists(t, p.SocketPath)
}

func TestProxy(t *testing.T) {
	p := newProcess(t)
	p.serve(t)
	p.up(t)
	t.Run("ends with the host", func(t *testing.T) {
		in, keep := io.Pipe()
		defer func() { _ = keep.Close() }()
		var out bytes.Buffer
		conn := p.dial(t, host(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("bye")) }))
		require.NoError(t, device.Proxy(t.Context(), conn, in, &out))
		require.Equal(t, "bye", out.String())
	})
	t.Run("ends with ssh", func(t *testing.T) {
		var out bytes.Buffer
		conn := p.dial(t, host(t, echo))
		require.NoError(t, device.Proxy(t.Context(), conn, strings.NewReader("hello"), &out))
		require.Equal(t, "hello", out.String())
	})
	t.Run("ends when nobody reads", func(t *testing.T) {
		in, keep := io.Pipe()
		defer func() { _ = keep.Close() }()
		out, w := io.Pipe()
		require.NoError(t, out.Close())
		conn := p.dial(t, host(t, func(c *net.TCPConn) { _, _ = c.Write([]byte("x")); _, _ = io.Copy(io.Discard, c) }))
		require.ErrorIs(t, device.Proxy(t.Context(), conn, in, w), io.ErrClosedPipe)
	})
}
