package peer

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func newKey(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, pub
}

// probe is a service that sees who calls. It panics on the name "panic" and hangs on the name "hang".
type probe struct {
	grpc_health_v1.UnimplementedHealthServer
	caller chan ed25519.PublicKey
}

func (p *probe) Check(ctx context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if req.GetService() == "panic" {
		panic("a defect")
	}
	id, _ := Identity(ctx)
	p.caller <- id
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func (p *probe) Watch(req *grpc_health_v1.HealthCheckRequest, s grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	switch req.GetService() {
	case "panic":
		panic("a defect")
	case "hang":
		p.caller <- nil
		<-s.Context().Done()
		return s.Context().Err()
	}
	id, _ := Identity(s.Context())
	p.caller <- id
	return s.Send(&grpc_health_v1.HealthCheckResponse{})
}

type running struct {
	*probe
	srv  *Server
	addr string
	pub  ed25519.PublicKey
}

func serve(t *testing.T, opts ...Option) running {
	t.Helper()
	key, pub := newKey(t)
	srv := NewServer(key, opts...)
	p := &probe{caller: make(chan ed25519.PublicKey, 64)}
	grpc_health_v1.RegisterHealthServer(srv, p)
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return running{probe: p, srv: srv, addr: l.Addr().String(), pub: pub}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, addr string, key ed25519.PrivateKey, pinned ed25519.PublicKey) (grpc_health_v1.HealthClient, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := Dial(ctx, addr, key, pinned)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return grpc_health_v1.NewHealthClient(conn), nil
}

func mustDial(t *testing.T, addr string, key ed25519.PrivateKey, pinned ed25519.PublicKey) grpc_health_v1.HealthClient {
	t.Helper()
	c, err := dial(t, addr, key, pinned)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func check(t *testing.T, c grpc_health_v1.HealthClient, service string) error {
	t.Helper()
	_, err := c.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
	return err
}

func TestServiceSeesCaller(t *testing.T) {
	s := serve(t)
	key, pub := newKey(t)
	c := mustDial(t, s.addr, key, s.pub)
	if err := check(t, c, ""); err != nil {
		t.Fatal(err)
	}
	if got := <-s.caller; !pub.Equal(got) {
		t.Errorf("unary call: service saw %x, want %x", got, pub)
	}
	w, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Recv(); err != nil {
		t.Fatal(err)
	}
	if got := <-s.caller; !pub.Equal(got) {
		t.Errorf("stream: service saw %x, want %x", got, pub)
	}
}

func TestIdentityNeedsOurConnection(t *testing.T) {
	if id, ok := Identity(t.Context()); ok {
		t.Errorf("a bare context has identity %x", id)
	}
}

func TestDialRefusesAnotherServer(t *testing.T) {
	s := serve(t)
	key, _ := newKey(t)
	_, other := newKey(t)
	_, err := dial(t, s.addr, key, other)
	if _, ok := errors.AsType[*WrongKeyError](err); !ok {
		t.Fatalf("got %v, want a WrongKeyError", err)
	}
	for _, k := range []ed25519.PublicKey{s.pub, other} {
		if !strings.Contains(err.Error(), hex.EncodeToString(k)) {
			t.Errorf("%q does not name %x", err, k)
		}
	}
}

func TestNewClientPins(t *testing.T) {
	s := serve(t)
	key, _ := newKey(t)
	_, other := newKey(t)
	for name, tc := range map[string]struct {
		pinned []ed25519.PublicKey
		ok     bool
	}{
		"none":         {nil, false},
		"another":      {[]ed25519.PublicKey{other}, false},
		"empty key":    {[]ed25519.PublicKey{{}}, false},
		"one of two":   {[]ed25519.PublicKey{other, s.pub}, true},
		"the only one": {[]ed25519.PublicKey{s.pub}, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := NewClient(s.addr, key, tc.pinned...)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // the call below is what is tested
			err = check(t, grpc_health_v1.NewHealthClient(conn), "")
			if (err == nil) != tc.ok {
				t.Errorf("call: %v, want ok %v", err, tc.ok)
			}
		})
	}
}

func TestUnusableKey(t *testing.T) {
	s := serve(t)
	if _, err := dial(t, s.addr, ed25519.PrivateKey("short"), s.pub); err == nil || !strings.Contains(err.Error(), "5 bytes") {
		t.Errorf("dialled with a 5 byte key: %v", err)
	}
}

func TestDialGivesUpWithContext(t *testing.T) {
	l := listen(t)  // accepts, never answers
	defer l.Close() //nolint:errcheck // nothing to lose
	key, pub := newKey(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, l.Addr().String(), key, pub); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want deadline exceeded", err)
	}
}

func TestOversizedMessage(t *testing.T) {
	s := serve(t, MaxMessage(1<<10))
	key, _ := newKey(t)
	c := mustDial(t, s.addr, key, s.pub)
	if err := check(t, c, strings.Repeat("x", 1000)); err != nil {
		t.Fatalf("within the bound: %v", err)
	}
	if err := check(t, c, strings.Repeat("x", 1100)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("over the bound: got %v, want ResourceExhausted", err)
	}
}

func TestPanicIsContained(t *testing.T) {
	s := serve(t)
	key, _ := newKey(t)
	c := mustDial(t, s.addr, key, s.pub)
	if err := check(t, c, "panic"); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "defect") {
		t.Errorf("unary: got %v, want Internal without the cause", err)
	}
	w, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "panic"})
	if err == nil {
		_, err = w.Recv()
	}
	if status.Code(err) != codes.Internal {
		t.Errorf("stream: got %v, want Internal", err)
	}
}

func TestRatePerIdentity(t *testing.T) {
	s := serve(t, RatePerIdentity(0.001, 2))
	a, _ := newKey(t)
	b, _ := newKey(t)
	greedy, modest := mustDial(t, s.addr, a, s.pub), mustDial(t, s.addr, b, s.pub)
	for i, want := range []codes.Code{codes.OK, codes.OK, codes.ResourceExhausted} {
		if err := check(t, greedy, ""); status.Code(err) != want {
			t.Errorf("call %d: got %v, want %v", i, err, want)
		}
	}
	if err := check(t, modest, ""); err != nil {
		t.Errorf("another caller: %v", err)
	}
}

type speaksFor struct{}

func TestVerifier(t *testing.T) {
	key, pub := newKey(t)
	refused, _ := newKey(t)
	s := serve(t, WithVerifier(func(ctx context.Context, caller ed25519.PublicKey, method string) (context.Context, error) {
		if !pub.Equal(caller) {
			return nil, errors.New("not on the list")
		}
		if strings.HasSuffix(method, "/Watch") {
			return nil, status.Error(codes.FailedPrecondition, "no streams today")
		}
		return context.WithValue(ctx, speaksFor{}, "someone"), nil
	}))
	c := mustDial(t, s.addr, key, s.pub)
	if err := check(t, c, ""); err != nil {
		t.Error(err)
	}
	if err := check(t, mustDial(t, s.addr, refused, s.pub), ""); status.Code(err) != codes.PermissionDenied {
		t.Errorf("refused caller: got %v, want PermissionDenied", err)
	}
	w, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		_, err = w.Recv()
	}
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("refused method: got %v, want the verifier's own status", err)
	}
}

func TestCloseCutsWhatDoesNotFinish(t *testing.T) {
	s := serve(t)
	key, _ := newKey(t)
	c := mustDial(t, s.addr, key, s.pub)
	if _, err := c.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "hang"}); err != nil {
		t.Fatal(err)
	}
	<-s.caller // it hangs now
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); s.srv.Close(ctx) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("Close waits for a call that never ends")
	}
}

func TestDialLoopbackPlain(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:9090":     true,
		"127.9.9.9:9090":     true,
		"[::1]:9090":         true,
		"localhost:9090":     true,
		"0.0.0.0:9090":       false,
		"[::]:9090":          false,
		"10.0.0.1:9090":      false,
		"example.org:9090":   false,
		"127.0.0.1.nip:9090": false,
		"127.0.0.1":          false,
		"":                   false,
	} {
		conn, err := Dialer(nil).LoopbackPlain(addr)
		if (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", addr, err, ok)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
}

func TestDialLoopbackPlainConnects(t *testing.T) {
	l := listen(t)
	srv := grpc.NewServer()
	p := &probe{caller: make(chan ed25519.PublicKey, 1)}
	grpc_health_v1.RegisterHealthServer(srv, p)
	go srv.Serve(l) //nolint:errcheck // ends with Stop
	defer srv.Stop()
	conn, err := Dialer(nil).LoopbackPlain(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing to lose
	if err := check(t, grpc_health_v1.NewHealthClient(conn), ""); err != nil {
		t.Fatal(err)
	}
	if id := <-p.caller; id != nil {
		t.Errorf("a plain connection has identity %x", id)
	}
}

func TestGateForgetsOnlyTheIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(settings{rate: 0.01, burst: 1}) // a call each 100 s
		allow := func(id []byte) bool { return g.allow(id, origin{}) }
		first := make([]byte, ed25519.PublicKeySize)
		if !allow(first) || allow(first) {
			t.Fatal("the first caller has one call")
		}
		nth := func(i int) []byte {
			id := make([]byte, ed25519.PublicKeySize)
			id[0] = 1
			binary.BigEndian.PutUint64(id[1:], uint64(i))
			return id
		}
		time.Sleep(50 * time.Second)
		for i := range maxTracked + 10 {
			allow(nth(i))
		}
		if len(g.callers) != maxTracked {
			t.Errorf("remembers %d callers, bound is %d", len(g.callers), maxTracked)
		}
		time.Sleep(2 * sweepEvery)
		if allow(nth(-1)) || allow(first) {
			t.Error("a flood of keys made room by forgetting those who had spent their calls")
		}
		time.Sleep(time.Minute) // only the first is idle now
		if !allow(nth(-1)) || allow(nth(-2)) {
			t.Error("the idle caller did not make room for exactly one")
		}
	})
}
