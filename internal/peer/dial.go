package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	// connectTimeout bounds one attempt to reach a server, handshake included.
	connectTimeout = 10 * time.Second
	// pingInterval is how long a client lets a connection be silent before it asks whether it still stands.
	// A server closes the connection of a client that asks twice as often.
	pingInterval = 30 * time.Second
)

// Dialer opens what a connection to addr (host:port) is made over, such as a WebSocket where there is no TCP. What it
// opens need not be secure. Nil is TCP.
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// NewClient prepares a connection to the server at addr (host:port), without connecting: the first call does, and
// the connection mends itself afterwards. The server must prove one of the pinned keys.
func NewClient(addr string, key ed25519.PrivateKey, pinned ...ed25519.PublicKey) (*grpc.ClientConn, error) {
	return Dialer(nil).NewClient(addr, key, pinned...)
}

// NewClient is the function of that name over what d opens.
func (d Dialer) NewClient(addr string, key ed25519.PrivateKey, pinned ...ed25519.PublicKey) (*grpc.ClientConn, error) {
	return newClient(addr, ClientCredentials(key, pinned...), d, Spoken())
}

// Dial is NewClient that waits until the connection stands. It gives up at the first failed attempt, with its cause
// (a *WrongKeyError for another key than pinned), or with ctx. The returned connection mends itself afterwards.
func Dial(ctx context.Context, addr string, key ed25519.PrivateKey, pinned ed25519.PublicKey) (*grpc.ClientConn, error) {
	creds := &recorder{TransportCredentials: ClientCredentials(key, pinned)}
	conn, err := newClient(addr, creds, creds.dial, Spoken())
	if err != nil {
		return nil, err
	}
	if err := waitReady(ctx, conn, creds); err != nil {
		_ = conn.Close() // never used
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return conn, nil
}

// LoopbackPlain prepares an unencrypted connection to a server on this host. An address that is not a loopback
// address, or the word localhost, is refused.
func (d Dialer) LoopbackPlain(addr string) (*grpc.ClientConn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	if host == "localhost" {
		host = "127.0.0.1" // not looked up: a name server must have no say in what is local
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q is not a loopback address: connections to other hosts need an identity key", addr)
	}
	return newClient(net.JoinHostPort(host, port), insecure.NewCredentials(), d, Spoken())
}

// errCut is a server that does not want us: with TLS 1.3 a client learns of it only after its own handshake.
var errCut = errors.New("the server closed the connection: it does not accept this client, or is not a peer")

func newClient(addr string, creds credentials.TransportCredentials, dial Dialer, v Versions) (*grpc.ClientConn, error) {
	if dial == nil {
		dial = dialTCP
	}
	// The dialer looks names up, and asks no proxy of the environment.
	opts := append(v.tell(),
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(dial),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingInterval / 3, PermitWithoutStream: true}),
		grpc.WithMaxHeaderListSize(maxHeaders),
	)
	conn, err := grpc.NewClient("passthrough:///"+addr, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return conn, nil
}

// waitReady blocks until conn stands, its first attempt failed or ctx ends.
func waitReady(ctx context.Context, conn *grpc.ClientConn, rec *recorder) error {
	conn.Connect()
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if state == connectivity.TransientFailure {
			if err := rec.failure(); err != nil {
				return err
			}
			return errCut
		}
		if !conn.WaitForStateChange(ctx, state) {
			if err := rec.failure(); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
	}
}

// recorder keeps the cause of the last failed attempt to connect, which gRPC only tells as text.
type recorder struct {
	credentials.TransportCredentials
	mu  sync.Mutex
	err error
}

func (r *recorder) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := dialTCP(ctx, addr)
	r.record(err)
	return conn, err
}

func (r *recorder) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := r.TransportCredentials.ClientHandshake(ctx, authority, raw)
	r.record(err)
	return conn, info, err
}

// Clone shares the recorder: gRPC clones credentials before it uses them.
func (r *recorder) Clone() credentials.TransportCredentials { return r }

func (r *recorder) record(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
