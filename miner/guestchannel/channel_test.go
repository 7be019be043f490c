package guestchannel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
)

const channelVM = "00112233445566778899aabbccddeeff"

func guestKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32)) }

// listen opens a channel whose guest is what the test makes of the other end.
func listen(t *testing.T, every time.Duration, change ...func(*Config)) (*Channel, chan net.Conn) {
	t.Helper()
	pub, ok := guestKey().Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("not an ed25519 key")
	}
	guests := make(chan net.Conn, 8)
	var height atomic.Int64
	c := Config{
		Identity: Identity{ChainID: "c", VM: channelVM, Seq: 2, GuestKey: pub},
		Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			select {
			case guests <- far:
				return near, nil
			default:
				return nil, errors.New("nobody takes it")
			}
		},
		Head: func() *vm.Head {
			h := height.Add(1)
			return &vm.Head{Height: h, Hash: bytes.Repeat([]byte{byte(h)}, 32)}
		},
		Mesh: func() *wire.Mesh { return nil }, Every: every,
		Log: slog.New(slog.DiscardHandler), Proven: func(bool) {},
	}
	for _, f := range change {
		f(&c)
	}
	l := Open(c)
	t.Cleanup(l.Close) // twice does no harm
	return l, guests
}

// challenges passes on what the guest is asked.
func challenges(conn net.Conn) <-chan wire.Challenge {
	out := make(chan wire.Challenge, 1024)
	go func() {
		defer close(out)
		in := wire.NewGuestReader(conn)
		for {
			var m wire.ToGuest
			if in.Next(&m) != nil {
				return
			}
			if m.Challenge != nil {
				select {
				case out <- *m.Challenge:
				default:
				}
			}
		}
	}()
	return out
}

func answer(c wire.Challenge, key ed25519.PrivateKey, seq uint32) wire.ToHost {
	return wire.ToHost{Proof: &wire.Proof{Height: c.Height, Signature: vm.SignProof(key, "c", channelVM, seq, c.Height, c.Hash)}}
}

func TestChannelTakesOnlyGoodProofs(t *testing.T) {
	t.Parallel()
	l, guests := listen(t, 10*time.Millisecond)
	conn := <-guests
	asked := challenges(conn)
	say := func(m wire.ToHost) {
		t.Helper()
		if err := wire.WriteMessage(conn, m); err != nil {
			t.Fatal(err)
		}
	}
	first := <-asked
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32))
	say(answer(first, other, 2))                                                  // another's key
	say(answer(first, guestKey(), 1))                                             // an earlier instance
	say(answer(wire.Challenge{Height: 1 << 40, Hash: first.Hash}, guestKey(), 2)) // nobody asked
	say(answer(wire.Challenge{Height: first.Height, Hash: nil}, guestKey(), 2))   // another block
	say(wire.ToHost{Proof: &wire.Proof{Height: first.Height, Signature: []byte("short")}})
	say(wire.ToHost{Hello: &wire.Hello{AgentVersion: string(bytes.Repeat([]byte("v"), 9999))}, Metrics: &wire.Metrics{RxBytes: 7}})
	testkit.Until(t, "heard", func() bool { return l.Info().Metrics.RxBytes == 7 })
	if p := l.Proof(); p != nil {
		t.Fatalf("a bad proof was taken: %+v", p)
	}
	if v := l.Info().Hello.AgentVersion; len(v) > maxText {
		t.Errorf("kept %d bytes of the guest's words", len(v))
	}
	say(answer(first, guestKey(), 2))
	testkit.Until(t, "proven", func() bool { return l.Proof() != nil && l.Proof().Height == first.Height })
	// An older one that comes late does not replace it.
	var later wire.Challenge
	for c := range asked {
		if c.Height > first.Height {
			later = c
			break
		}
	}
	say(answer(later, guestKey(), 2))
	testkit.Until(t, "newer", func() bool { return l.Proof().Height == later.Height })
	say(answer(first, guestKey(), 2))
	say(wire.ToHost{Metrics: &wire.Metrics{RxBytes: 8}}) // read once all before it was
	testkit.Until(t, "heard", func() bool { return l.Info().Metrics.RxBytes == 8 })
	if h := l.Proof().Height; h < later.Height {
		t.Errorf("fell back to height %d", h)
	}
}

// A guest that shouts is read slowly, is not answered in kind, and makes
// nothing grow; and the channel still ends at once.
func TestChannelAndAFlood(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		// most that is read in a second, once the burst is spent.
		most int
	}{
		"one endless line": {strings.Repeat("x", 32<<10), bytesPerSecond},
		"garbage":          {strings.Repeat("\x00\xff{[\n", 6<<10), bytesPerSecond},
		"nested deeply":    {strings.Repeat(strings.Repeat("[", 30<<10)+"\n", 4), bytesPerSecond},
		"hellos":           {strings.Repeat(`{"hello":{}}`+"\n", 1000), messagesPerSecond * len(`{"hello":{}}`+"\n")},
		"empty messages":   {strings.Repeat("{}\n", 4000), messagesPerSecond * len("{}\n")},
		"proofs":           {strings.Repeat(`{"proof":{"height":1,"signature":"AAAA"}}`+"\n", 500), messagesPerSecond * len(`{"proof":{"height":1,"signature":"AAAA"}}`+"\n")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, guests := listen(t, time.Second)
				conn := <-guests
				defer func() { _ = conn.Close() }()
				asked := 0
				var heard sync.WaitGroup
				heard.Go(func() {
					for range challenges(conn) {
						asked++
					}
				})
				var written atomic.Int64
				heard.Go(func() {
					for {
						n, err := conn.Write([]byte(c.line))
						written.Add(int64(n))
						if err != nil {
							return
						}
						time.Sleep(20 * time.Millisecond)
					}
				})
				time.Sleep(10 * time.Second) // what may come at once is past
				before, from := heap(), written.Load()
				const seconds = 60
				time.Sleep(seconds * time.Second)
				// Two buffers' worth may be on its way.
				if n := written.Load() - from; n > int64(seconds*c.most+2*wire.MaxLine+len(c.line)) || n == 0 {
					t.Errorf("%d bytes were read in %d s; want up to %d a second", n, seconds, c.most)
				}
				if grown := int64(heap()) - int64(before); grown > 8<<20 {
					t.Errorf("%d bytes more are held", grown)
				}
				began := time.Now()
				l.Close()
				if took := time.Since(began); took > 0 {
					t.Errorf("it took %s to end", took)
				}
				_ = conn.Close()
				heard.Wait()
				if most := 70*(messagesPerSecond+2) + messageBurst; asked > most {
					t.Errorf("asked %d times in 70 s", asked)
				}
				if p := l.Proof(); p != nil {
					t.Errorf("proven by noise: %+v", p)
				}
			})
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestChannelComesBack(t *testing.T) {
	t.Parallel()
	l, guests := listen(t, 10*time.Millisecond)
	for range 3 {
		conn := <-guests
		c := <-challenges(conn)
		if err := wire.WriteMessage(conn, answer(c, guestKey(), 2)); err != nil {
			t.Fatal(err)
		}
		testkit.Until(t, "proven", func() bool { p := l.Proof(); return p != nil && p.Height == c.Height })
		_ = conn.Close()
	}
}

// FuzzChannel: nothing a guest says is taken for a proof, or breaks the channel.
func FuzzChannel(f *testing.F) {
	f.Add([]byte(`{"proof":{"height":1,"signature":"AAAA"}}` + "\n"))
	f.Add([]byte(`{"hello":{"vm_id":"x","seq":4294967295}}` + "\n" + `{"metrics":{"cpu_milli":-1}}` + "\n"))
	f.Add(bytes.Repeat([]byte("a"), 70_000))
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := net.Pipe()
		l := &Channel{c: Config{
			Identity: Identity{ChainID: "c", VM: channelVM, Seq: 2},
			Dial:     func(context.Context) (net.Conn, error) { return near, nil },
			Head:     func() *vm.Head { return &vm.Head{Height: 1, Hash: []byte("h")} },
			Mesh:     func() *wire.Mesh { return nil }, Every: time.Hour, Log: slog.New(slog.DiscardHandler),
			Proven: func(bool) { t.Error("proven without a key") },
		}}
		go func() { _, _ = io.Copy(io.Discard, far) }()
		go func() {
			_, _ = far.Write(data)
			_ = far.Close()
		}()
		if _, err := l.converse(t.Context()); err == nil {
			t.Error("the conversation ended without a cause")
		}
	})
}

// A guest of another time is not taken for one that lies: its proofs do not count, and what is wrong is said.
func TestChannelSaysWhenVersionsDiffer(t *testing.T) {
	t.Parallel()
	l, guests := listen(t, 10*time.Millisecond)
	conn := <-guests
	asked := challenges(conn)
	say := func(m wire.ToHost) {
		t.Helper()
		if err := wire.WriteMessage(conn, m); err != nil {
			t.Fatal(err)
		}
	}
	c := <-asked
	say(wire.ToHost{Hello: &wire.Hello{AgentVersion: "v9", VMID: channelVM, Seq: 2, Protocol: &wire.Versions{Oldest: 8, Newest: 9}}})
	say(answer(c, guestKey(), 2))
	say(wire.ToHost{Metrics: &wire.Metrics{CPUMilli: 7}}) // read once all before it was
	for l.Info().Metrics.CPUMilli != 7 {
		time.Sleep(time.Millisecond)
	}
	if g := l.Info(); l.Proof() != nil || !strings.Contains(g.Unsupported, "there 8 to 9") {
		t.Fatalf("proof %v, unsupported %q", l.Proof(), g.Unsupported)
	}
	// The VM was restarted with this host's agent.
	say(wire.ToHost{Hello: &wire.Hello{VMID: channelVM, Seq: 2}})
	for l.Proof() == nil {
		c = <-asked
		say(answer(c, guestKey(), 2))
	}
	if g := l.Info(); g.Unsupported != "" {
		t.Errorf("unsupported %q of a guest that speaks our protocol", g.Unsupported)
	}
}
