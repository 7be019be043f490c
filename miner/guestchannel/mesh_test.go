package guestchannel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/mesh"
)

// revoked is a mesh with n revocations.
func revoked(n int) *wire.Mesh {
	m := &wire.Mesh{}
	for i := range n {
		m.Blocklist = append(m.Blocklist, fmt.Sprintf("%064x", i))
	}
	return m
}

// picky is a guest that answers challenges, and stops reading for good within a line that is longer than it takes.
type picky struct {
	takes  atomic.Int64
	stuck  atomic.Int64 // conversations in which it stopped
	meshes atomic.Int64 // that it took
	newest atomic.Pointer[wire.Mesh]
}

func (p *picky) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	spoken := wire.Spoken()
	if wire.WriteMessage(conn, wire.ToHost{Hello: &wire.Hello{Protocol: &spoken}}) != nil {
		return
	}
	in := bufio.NewReader(conn)
	for {
		var line bytes.Buffer
		for {
			b, err := in.ReadByte()
			if err != nil {
				return
			}
			if line.WriteByte(b); b == '\n' {
				break
			}
			if int64(line.Len()) > p.takes.Load() {
				p.stuck.Add(1)
				// The host ends the conversation: until then nothing more is read.
				for wire.WriteMessage(conn, wire.ToHost{Metrics: &wire.Metrics{}}) == nil {
					time.Sleep(10 * time.Second)
				}
				return
			}
		}
		var m wire.ToGuest
		if json.Unmarshal(line.Bytes(), &m) != nil {
			continue
		}
		if m.Mesh != nil {
			p.newest.Store(m.Mesh)
			p.meshes.Add(1)
		}
		if m.Challenge != nil {
			if wire.WriteMessage(conn, answer(*m.Challenge, guestKey(), 2)) != nil {
				return
			}
		}
	}
}

// The proofs of a guest that cannot be told of the mesh go on; it is told again later, and is told as soon as it takes it.
func TestMeshThatIsNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		mesh  *wire.Mesh
		stuck bool
	}{
		"the guest stops reading": {revoked(mesh.MaxRevocations), true},
		"too large to be sent":    {revoked(4 * mesh.MaxRevocations), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const every = 10 * time.Second
				var told atomic.Pointer[wire.Mesh]
				told.Store(c.mesh)
				log := &counting{}
				l, guests := listen(t, every, func(g *Config) {
					g.Mesh, g.Log = told.Load, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
				})
				var guest picky
				guest.takes.Store(wire.MaxLine)
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				defer func() {
					l.Close()
					cancel()
					all.Wait()
				}()
				all.Go(func() {
					for {
						select {
						case conn := <-guests:
							all.Go(func() { guest.talk(conn) })
						case <-ctx.Done():
							return
						}
					}
				})
				time.Sleep(time.Minute)
				for range 60 {
					time.Sleep(time.Minute)
					if p := l.Proof(); p == nil || time.Since(p.At) > 3*every {
						t.Fatalf("after %d attempts to tell it of the mesh, the newest proof is %+v at %s", guest.stuck.Load(), p, time.Now())
					}
				}
				if n := guest.stuck.Load(); c.stuck && (n < 3 || n > 20) || !c.stuck && n != 0 {
					t.Errorf("it was told %d times in an hour", n)
				}
				if n := log.lines.Load(); n != 1 {
					t.Errorf("said %d times in the log; want once", n)
				}
				guest.takes.Store(wire.MaxLineToGuest)
				told.Store(revoked(7))
				time.Sleep(time.Hour)
				if m := guest.newest.Load(); m == nil || len(m.Blocklist) != 7 || guest.meshes.Load() != 1 {
					t.Errorf("told of %v, %d times", m, guest.meshes.Load())
				}
			})
		})
	}
}

// A guest of an earlier version, which reads no longer lines than it says itself, is told of the newest revocations that fit; one of
// today of all of them.
func TestMeshThatFitsTheGuest(t *testing.T) {
	t.Parallel()
	whole := revoked(mesh.MaxRevocations)
	for name, c := range map[string]struct {
		speaks *wire.Versions
		reader func(io.Reader) *wire.Reader
		all    bool
	}{
		"says no version": {nil, wire.NewReader, false},
		"version 1":       {&wire.Versions{Oldest: 1, Newest: 1}, wire.NewReader, false},
		"version 2":       {&wire.Versions{Oldest: 1, Newest: 2}, wire.NewGuestReader, true},
		"a later one":     {&wire.Versions{Oldest: 2, Newest: 9}, wire.NewGuestReader, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, guests := listen(t, 10*time.Millisecond, func(g *Config) { g.Mesh = func() *wire.Mesh { return whole } })
			conn := <-guests
			in := c.reader(conn)
			if err := wire.WriteMessage(conn, wire.ToHost{Hello: &wire.Hello{Protocol: c.speaks}}); err != nil {
				t.Fatal(err)
			}
			var told *wire.Mesh
			for challenges := 0; told == nil; {
				var m wire.ToGuest
				if err := in.Next(&m); err != nil {
					t.Fatal(err)
				}
				if m.Challenge != nil {
					if challenges++; challenges > 100 {
						t.Fatal("it was not told of the mesh")
					}
					if err := wire.WriteMessage(conn, answer(*m.Challenge, guestKey(), 2)); err != nil {
						t.Fatal(err)
					}
				}
				told = m.Mesh
			}
			n := len(told.Blocklist)
			if c.all != (n == len(whole.Blocklist)) || n < 900 {
				t.Fatalf("it was told of %d of %d revocations", n, len(whole.Blocklist))
			}
			if !slices.Equal(told.Blocklist, whole.Blocklist[len(whole.Blocklist)-n:]) {
				t.Error("it was not told of the newest ones")
			}
		})
	}
}

// counting is a log that counts its lines.
type counting struct{ lines atomic.Int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.lines.Add(1)
	return len(p), nil
}
