package nebula_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/nebula"
)

// What other tests see stopped may have been stopped by the sender, which is
// as honest as its owner. Here the sender is built without its checks, so that
// what is left is the receiver's.
func TestHostileSender(t *testing.T) {
	t.Parallel()
	program := buildHostile(t)
	op, alice := operator(t), tenant(t, 1)
	evil := runHostile(t, program, op.lighthouseConfig(t, loopback(1), alice))
	seen := nebula.Lighthouse{
		Addr: op.block.Addr(), Underlay: []netip.AddrPort{netip.AddrPortFrom(loopback(1), evil.port)}, CA: op.bytes(), Relay: true,
	}
	heard := &tape{}
	vmConfig := onLoopback(alice.member(t, 2, "vm"), seen)
	vmConfig.Stack = func([]netip.Prefix, int) (nebula.Stack, error) { return heard, nil }
	vm := start(t, "vm", vmConfig)
	require.Eventually(t, vm.LighthouseUp, 30*time.Second, 5*time.Millisecond)
	member := runHostile(t, program, onLoopback(alice.member(t, 48, "device"), seen))

	// What goes wrong below is proven by what arrives afterwards by the same tunnel.
	send := func(from *hostile, source netip.Addr, word string) {
		t.Helper()
		from.send(t, vm.Addr(), datagram(source, vm.Addr(), word))
	}
	arrives := func(word string) {
		t.Helper()
		require.Eventually(t, func() bool { return heard.has(word) }, 30*time.Second, 5*time.Millisecond, "%s", word)
	}
	send(member, alice.addr(48), "a member as itself")
	arrives("a member as itself")
	send(member, alice.addr(49), "a member as another member")
	send(member, op.block.Addr(), "a member as the lighthouse")
	send(member, netip.MustParseAddr("192.0.2.1"), "a member as the internet")
	send(member, alice.addr(48), "that member again")
	arrives("that member again")
	send(evil, op.block.Addr(), "an operator as itself")
	send(evil, alice.addr(48), "an operator as a member")
	send(evil, vm.Addr(), "an operator as the VM itself")
	send(evil, netip.MustParseAddr("192.0.2.1"), "an operator as the internet")
	// The operator can prove nothing by a last word of its own: it may have none.
	send(member, alice.addr(48), "the end")
	arrives("the end")
	require.Never(t, func() bool {
		return heard.count("an operator")+heard.count("a member as another")+heard.count("a member as the") > 0
	},
		300*time.Millisecond, 20*time.Millisecond)
	require.True(t, vm.LighthouseUp(), "the tunnel the operator spoke into is there")
}

// The library itself takes nothing from a peer outside its own networks, so the
// case above has two walls. Here is the second alone: an operator whose
// authority, trusted by mistake, puts it inside the tenant's network.
func TestHostileSenderInside(t *testing.T) {
	t.Parallel()
	program := buildHostile(t)
	for name, c := range map[string]struct {
		edit   func(rule map[string]any)
		enters bool
	}{
		"rules bound to the tenant's authority": {func(map[string]any) {}, false},
		"rules bound to none":                   {func(rule map[string]any) { delete(rule, "ca_sha") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newIntruder(t)
			evil := runHostile(t, program, s.evil)
			heard := &tape{}
			config := s.victim
			config.Stack = func([]netip.Prefix, int) (nebula.Stack, error) { return heard, nil }
			config.Lighthouses = []nebula.Lighthouse{{Addr: netip.MustParseAddr("100.64.0.70"), Underlay: []netip.AddrPort{s.at}}}
			victim, err := nebula.StartTrusting(config, s.anywhere, c.edit, logger(t, "victim"))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, victim.Close()) })
			for range 10 {
				evil.send(t, victim.Addr(), datagram(netip.MustParseAddr("100.64.0.70"), victim.Addr(), "an operator inside"))
				time.Sleep(20 * time.Millisecond)
			}
			if c.enters {
				require.Eventually(t, func() bool { return heard.has("an operator inside") }, 30*time.Second, 5*time.Millisecond, "the attack is real")
				return
			}
			require.Never(t, func() bool { return heard.has("an operator inside") }, 300*time.Millisecond, 20*time.Millisecond)
		})
	}
}

// buildHostile builds testdata/hostile with its checks patched out.
func buildHostile(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(here, "send.go"): filepath.Join(here, "testdata/hostile/send.go.overlay"),
	}})
	require.NoError(t, err)
	file, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "hostile")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", program, "./testdata/hostile")
	// As `make` builds, so that little is compiled again; the race detector would need all of it anew.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

type hostile struct {
	in   io.Writer
	out  *bufio.Scanner
	port uint16
}

func runHostile(t *testing.T, program string, c nebula.Config) *hostile {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	h := &hostile{in: in, out: bufio.NewScanner(out)}
	require.NoError(t, json.NewEncoder(in).Encode(c))
	require.True(t, h.out.Scan())
	port, err := strconv.ParseUint(h.out.Text(), 10, 16)
	require.NoError(t, err, "%s", h.out.Text())
	h.port = uint16(port)
	return h
}

func (h *hostile) send(t *testing.T, to netip.Addr, packet []byte) {
	t.Helper()
	require.NoError(t, json.NewEncoder(h.in).Encode(map[string]any{"to": to, "packet": packet}))
	require.True(t, h.out.Scan())
	require.Equal(t, "sent", h.out.Text())
}

// datagram is a UDP packet to port 22, without a checksum of its payload.
func datagram(from, to netip.Addr, word string) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0}
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(word)))
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	b = append(b, 0x12, 0x34, 0, 22)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(word)))
	return append(append(b, 0, 0), word...)
}

// tape is a VM's network that keeps what arrives and sends nothing.
type tape struct {
	mu  sync.Mutex
	got [][]byte
}

var errTape = errors.New("nobody here")

func (*tape) DialTCP(context.Context, netip.AddrPort) (net.Conn, error) { return nil, errTape }
func (*tape) DialUDP(netip.AddrPort) (net.Conn, error)                  { return nil, errTape }
func (*tape) ListenTCP(netip.AddrPort) (net.Listener, error)            { return nil, errTape }

func (*tape) ReadPacket(ctx context.Context, _ []byte) (int, error) {
	<-ctx.Done()
	return 0, os.ErrClosed
}

func (r *tape) WritePacket(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, bytes.Clone(p))
}

func (*tape) Abort() {}
func (*tape) Wait()  {}

func (r *tape) has(word string) bool { return r.count(word) > 0 }

func (r *tape) count(word string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.got {
		if bytes.Contains(p, []byte(word)) {
			n++
		}
	}
	return n
}
