package peer

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"net"
	"slices"

	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
)

// authInfo is what a finished handshake leaves on the connection.
type authInfo struct {
	credentials.TLSInfo
	identity ed25519.PublicKey
}

// Identity returns the key that the other side of this call proved. It is false for a context that did not come
// from a connection made by this package.
func Identity(ctx context.Context) (ed25519.PublicKey, bool) {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil, false
	}
	info, ok := p.AuthInfo.(authInfo)
	if !ok {
		return nil, false
	}
	return info.identity, true
}

// ServerCredentials makes a server prove key and demand a key, any key, of every caller.
// A key of the wrong length fails every handshake.
func ServerCredentials(key ed25519.PrivateKey) credentials.TransportCredentials {
	cfg, err := baseConfig(key)
	cfg.ClientAuth = tls.RequireAnyClientCert
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := identityOf(state)
		return err
	}
	return transportCredentials{TransportCredentials: credentials.NewTLS(cfg), err: err}
}

// ClientCredentials makes a client prove key and refuse a server that does not prove one of the pinned keys.
// With nothing pinned every server is refused.
func ClientCredentials(key ed25519.PrivateKey, pinned ...ed25519.PublicKey) credentials.TransportCredentials {
	cfg, err := baseConfig(key)
	// Names and authorities play no part: the pin below is the whole check, and stricter.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		got, err := identityOf(state)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(pinned, func(k ed25519.PublicKey) bool { return k.Equal(got) }) {
			return &WrongKeyError{Got: got, Want: pinned}
		}
		return nil
	}
	return transportCredentials{TransportCredentials: credentials.NewTLS(cfg), err: err}
}

func baseConfig(key ed25519.PrivateKey) (*tls.Config, error) {
	cert, err := selfSigned(key)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"h2"},
		// Each connection proves its keys anew.
		SessionTicketsDisabled: true,
	}, err
}

// transportCredentials is gRPC's TLS with the proven key added to what the handshake leaves behind.
type transportCredentials struct {
	credentials.TransportCredentials
	err error // the identity key is unusable
}

func (c transportCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if c.err != nil {
		return nil, nil, c.err
	}
	return withIdentity(c.TransportCredentials.ClientHandshake(ctx, authority, raw))
}

func (c transportCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if c.err != nil {
		return nil, nil, c.err
	}
	return withIdentity(c.TransportCredentials.ServerHandshake(raw))
}

func (c transportCredentials) Clone() credentials.TransportCredentials {
	return transportCredentials{TransportCredentials: c.TransportCredentials.Clone(), err: c.err}
}

func withIdentity(conn net.Conn, info credentials.AuthInfo, err error) (net.Conn, credentials.AuthInfo, error) {
	if err != nil {
		return nil, nil, err
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		_ = conn.Close() // the error below is what matters
		return nil, nil, errNoCertificate
	}
	identity, err := identityOf(tlsInfo.State)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, authInfo{TLSInfo: tlsInfo, identity: identity}, nil
}
