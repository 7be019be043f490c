package peer

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hippius/compute/internal/testkit"
)

// Whoever connects shows a certificate of its own making.
func FuzzIdentity(f *testing.F) {
	key, _, err := ed25519Key()
	if err != nil {
		f.Fatal(err)
	}
	cert, err := selfSigned(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert.Certificate[0])
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		id, err := identityOf(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}})
		if (err == nil) != (len(id) == ed25519.PublicKeySize) {
			t.Fatalf("key of %d bytes, %v", len(id), err)
		}
		if _, err := identityOf(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c, c}}); err == nil {
			t.Fatal("two certificates are one")
		}
	})
}

func ed25519Key() (ed25519.PrivateKey, ed25519.PublicKey, error) {
	pub, key, err := ed25519.GenerateKey(nil)
	return key, pub, err
}

// What a caller with a key says may be anything; others are served still, and
// of its calls nothing remains.
func FuzzConnection(f *testing.F) {
	f.Add([]byte(preface))
	f.Add([]byte(preface + "\x00\x00\x05\x01\x04\x00\x00\x00\x01\x83\x86\x44\x01\x2f"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	key, pub, err := ed25519Key()
	if err != nil {
		f.Fatal(err)
	}
	s := NewServer(key, HandshakeTimeout(5*time.Second))
	grpc_health_v1.RegisterHealthServer(s, &probe{caller: make(chan ed25519.PublicKey, 1<<20)})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lasts as long as the process
	if err != nil {
		f.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	f.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, said []byte) {
		caller, _ := newKey(t)
		cert, err := selfSigned(caller)
		if err != nil {
			t.Fatal(err)
		}
		cfg := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13} //nolint:gosec // the server's identity is not what is tested
		conn, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(said)
		_ = conn.(*tls.Conn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		if err := check(t, mustDial(t, l.Addr().String(), caller, pub), ""); err != nil {
			t.Fatalf("an honest call: %v", err)
		}
		testkit.Until(t, "the end of all calls", func() bool { return s.calls.inProgress() == 0 })
	})
}
