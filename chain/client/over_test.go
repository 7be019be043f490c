package client

import (
	"context"
	"crypto/ed25519"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A client on given connections asks them in the network's order, the next when one is away.
func TestOver(t *testing.T) {
	t.Parallel()
	away, here := &madeConn{err: status.Error(codes.Unavailable, "away")}, &madeConn{}
	n := Network{Name: "n", ChainID: testChain, GRPC: []Endpoint{{Address: "127.0.0.1:1", Plain: true}, {Address: "127.0.0.1:2", Plain: true}}}
	_, err := Over(Config{Network: n}, away)
	require.ErrorContains(t, err, "1 connections to the network's 2 endpoints")
	c, err := Over(Config{Network: n}, away, here)
	require.NoError(t, err)
	_, err = c.Books(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{away.calls, here.calls})
	require.NoError(t, c.Close())
	require.True(t, away.closed && here.closed)
}

// Every connection, pinned or plain, is made over what Config.Dial opens.
func TestDial(t *testing.T) {
	t.Parallel()
	for _, key := range []ed25519.PrivateKey{newKey(t), nil} {
		at := serve(t, newChain(), key)
		where := at.Address
		at.Address = "127.0.0.1:1"
		var asked []string
		c, err := New(Config{Network: Network{ChainID: testChain, GRPC: []Endpoint{at}}, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			asked = append(asked, addr)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", where)
		}})
		require.NoError(t, err)
		require.NoError(t, c.Check(t.Context()))
		require.Equal(t, []string{"127.0.0.1:1"}, asked)
		require.NoError(t, c.Close())
	}
}

// madeConn is a connection made elsewhere, which answers nothing or an error.
type madeConn struct {
	grpc.ClientConnInterface
	err    error
	calls  int
	closed bool
}

func (m *madeConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	m.calls++
	return m.err
}

func (m *madeConn) Close() error {
	m.closed = true
	return nil
}
