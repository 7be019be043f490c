package peer

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/internal/testkit"
)

// raw is a connection of somebody who has a key, speaks HTTP/2, and keeps to
// none of its rules.
type raw struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	next   uint32

	mu      sync.Mutex
	refused map[uint32]bool // streams that the server ended
	gone    bool
}

func newRaw(t *testing.T, from, addr string) *raw {
	t.Helper()
	key, _ := newKey(t)
	d := tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}},
		Config: &tls.Config{
			Certificates: []tls.Certificate{certificate(t, key, time.Unix(0, 0), time.Unix(1<<33, 0))},
			NextProtos:   []string{"h2"}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, //nolint:gosec // an attacker does not care who it is
		},
	}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t, conn: conn, framer: http2.NewFramer(conn, conn), next: 1, refused: map[uint32]bool{}}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.read()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return r
}

// read counts refusals: streams that were reset, and calls answered with an error at once.
func (r *raw) read() {
	for {
		f, err := r.framer.ReadFrame()
		r.mu.Lock()
		if err != nil {
			r.gone = true
			r.mu.Unlock()
			return
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			r.refused[f.StreamID] = true
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				r.refused[f.StreamID] = true
			}
		}
		r.mu.Unlock()
	}
}

func (r *raw) refusals() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.refused)
}

func (r *raw) cut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// call begins a call and says how long its message will be.
func (r *raw) call(message uint32) (stream uint32, err error) {
	stream, r.next = r.next, r.next+2
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "x"},
		{Name: ":path", Value: "/grpc.health.v1.Health/Check"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := enc.WriteField(f); err != nil {
			return 0, err
		}
	}
	if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}); err != nil {
		return 0, err
	}
	return stream, r.framer.WriteData(stream, false, binary.BigEndian.AppendUint32([]byte{0}, message))
}

// served fails unless an honest caller gets its answer.
func (s running) served(t *testing.T, c grpc_health_v1.HealthClient) {
	t.Helper()
	if err := check(t, c, ""); err != nil {
		t.Errorf("an honest caller is not served: %v", err)
	}
}

func (s running) honest(t *testing.T) grpc_health_v1.HealthClient {
	t.Helper()
	key, _ := newKey(t)
	c := mustDial(t, s.addr, key, s.pub)
	s.served(t, c)
	return c
}

// flood begins calls on connections of many keys from a host, each with half a message.
func flood(t *testing.T, from, addr string, conns, each int) (ended func() int) {
	t.Helper()
	var raws []*raw
	for range conns {
		r := newRaw(t, from, addr)
		raws = append(raws, r)
		for range each {
			if _, err := r.call(1000); err != nil {
				t.Fatal(err)
			}
		}
	}
	return func() (n int) {
		for _, r := range raws {
			n += r.refusals()
		}
		return n
	}
}

func TestCallFlood(t *testing.T) {
	const total, perHost, conns, each = 60, 40, 8, 100
	s := serve(t, MaxCalls(total, perHost), ArrivalTimeout(time.Hour))
	honest := s.honest(t)
	testkit.Until(t, "the honest call's end", func() bool { return s.srv.calls.inProgress() == 0 })
	one := flood(t, "127.0.0.2", s.addr, conns, each)
	testkit.Until(t, "refusals", func() bool { return one() == conns*each-perHost })
	if n := s.srv.calls.inProgress(); n != perHost {
		t.Errorf("%d calls in progress, bound is %d for one host", n, perHost)
	}
	s.served(t, honest)
	testkit.Until(t, "the honest call's end", func() bool { return s.srv.calls.inProgress() == perHost })
	another := flood(t, "127.0.0.3", s.addr, conns, each)
	// The two have equal parts: the first lost what it had beyond.
	testkit.Until(t, "refusals", func() bool { return another() == conns*each-total/2 && one() == conns*each-total/2 })
	if n := s.srv.calls.inProgress(); n != total {
		t.Errorf("%d calls in progress, bound is %d", n, total)
	}
	s.served(t, honest)
}

// What does not come in time is ended, and its place is free.
func TestHalfMessagesEnd(t *testing.T) {
	s := serve(t, MaxCalls(40, 40), ArrivalTimeout(time.Second))
	ended := flood(t, "127.0.0.2", s.addr, 1, 40)
	testkit.Until(t, "the end of half messages", func() bool { return ended() == 40 && s.srv.calls.inProgress() == 0 })
	s.served(t, s.honest(t))
}

// A call whose message is here may take as long as it likes.
func TestArrivedCallsLast(t *testing.T) {
	s := serve(t, ArrivalTimeout(200*time.Millisecond))
	c := s.honest(t)
	<-s.caller
	w, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "hang"})
	if err != nil {
		t.Fatal(err)
	}
	<-s.caller
	ended := make(chan error, 1)
	go func() { _, err := w.Recv(); ended <- err }()
	select {
	case err := <-ended:
		t.Errorf("a call that had arrived was ended: %v", err)
	case <-time.After(time.Second):
	}
}

// One connection, more calls than a connection may have.
func TestStreamFlood(t *testing.T) {
	s := serve(t, MaxCalls(1<<20, 1<<20), ArrivalTimeout(time.Hour))
	r := newRaw(t, "127.0.0.2", s.addr)
	const n = 3 * maxStreams
	for range n {
		if _, err := r.call(1000); err != nil {
			break // cut: just as well
		}
	}
	testkit.Until(t, "refusals", func() bool { return r.cut() || r.refusals() >= n-maxStreams })
	if got := s.srv.calls.inProgress(); got > maxStreams {
		t.Errorf("%d calls in progress on one connection, bound is %d", got, maxStreams)
	}
	s.served(t, s.honest(t))
}

// Callers that send almost all of the largest messages and then wait: the
// memory they can take is what the bounds say, however many they are.
func TestMemoryUnderFlood(t *testing.T) {
	const message, most = 1 << 20, 16
	s := serve(t, MaxMessage(message), MaxCalls(most, most/2), ArrivalTimeout(time.Minute))
	honest := s.honest(t)
	before := heap()
	chunk := make([]byte, 16<<10)
	var flooding []*raw
	var senders sync.WaitGroup
	for i := range 4 {
		for range 4 {
			r := newRaw(t, net.IPv4(127, 0, 2, byte(i+1)).String(), s.addr)
			flooding = append(flooding, r)
			senders.Go(func() {
				for range 16 {
					stream, err := r.call(message)
					for sent := 0; err == nil && sent < message-len(chunk); sent += len(chunk) {
						_ = r.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // the window is shut: on to the next
						err = r.framer.WriteData(stream, false, chunk)
					}
					if err != nil {
						return
					}
				}
			})
		}
	}
	senders.Wait()
	taken := heap() - before
	t.Logf("256 calls offered %d MiB, the heap grew by %.1f MiB", 256*message>>20, float64(taken)/(1<<20))
	if taken > 4*most*message {
		t.Errorf("the heap grew by %d MiB; %d calls of %d MiB are the bound", taken>>20, most, message>>20)
	}
	// Four hosts may hold all calls there are. Whether they still do depends on who was faster: they at filling the
	// windows, or the server at cutting those that went beyond.
	for _, r := range flooding {
		_ = r.conn.Close()
	}
	testkit.Until(t, "the end of the flood's calls", func() bool { return s.srv.calls.inProgress() == 0 })
	s.served(t, honest)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // no heap is that large
}

// A message said to be larger than is taken is refused before it is sent.
func TestOversizedIsRefusedByItsHeader(t *testing.T) {
	s := serve(t, MaxMessage(1<<10))
	r := newRaw(t, "127.0.0.2", s.addr)
	if _, err := r.call(1 << 30); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "the refusal", func() bool { return r.refusals() > 0 })
	key, _ := newKey(t)
	big := bytes.Repeat([]byte("x"), 100<<10)
	if err := check(t, mustDial(t, s.addr, key, s.pub), string(big)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("an oversized message: %v", err)
	}
	s.served(t, s.honest(t))
}

// Handshakes that drip a byte at a time are cut at the same time as those that say nothing.
func TestSlowHandshake(t *testing.T) {
	s := serve(t, HandshakeTimeout(time.Second), MaxConns(64, 32))
	var slow sync.WaitGroup
	for range 16 {
		conn := hold(t, "127.0.0.2", s.addr)
		slow.Go(func() {
			// The beginning of a ClientHello that would go on for a while.
			hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, make([]byte, 500)...)
			began := time.Now()
			for _, b := range hello {
				if _, err := conn.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if held := time.Since(began); held > 20*time.Second {
				t.Errorf("a handshake was dragged out for %s", held)
			}
		})
	}
	s.served(t, s.honest(t)) // meanwhile
	slow.Wait()
}

// A few hosts that take all connections, keys proven, do not lock out the next.
func TestConnectionsAreShared(t *testing.T) {
	s := serve(t, MaxConns(24, 12))
	var raws []*raw
	for i := range 24 {
		raws = append(raws, newRaw(t, net.IPv4(127, 0, 0, byte(2+i%2)).String(), s.addr))
	}
	for range 3 {
		s.served(t, s.honest(t))
	}
	lost := 0
	for _, r := range raws {
		if r.cut() {
			lost++
		}
	}
	if lost > 3 {
		t.Errorf("%d connections were cut for three", lost)
	}
}

func TestHostOf(t *testing.T) {
	at := func(s string) string { return hostOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))) }
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"ports":          {"192.0.2.1:1", "192.0.2.1:2", true},
		"two hosts":      {"192.0.2.1:1", "192.0.2.2:1", false},
		"mapped":         {"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		"IPv6, one /64":  {"[2001:db8::1]:1", "[2001:db8::ffff:2]:1", true},
		"IPv6, two /64s": {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
	} {
		if got := at(c.a) == at(c.b); got != c.same {
			t.Errorf("%s: %s and %s: one host is %v, want %v", name, c.a, c.b, got, c.same)
		}
	}
}
