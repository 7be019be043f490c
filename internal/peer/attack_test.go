package peer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// certificate makes a self-signed certificate of any kind of key, good for the given times.
func certificate(t *testing.T, key crypto.Signer, from, until time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func kinds(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"RSA": r, "ECDSA": e}
}

// preface opens an HTTP/2 connection; a server that accepts us answers with its settings.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// accepted reports whether the server at addr speaks to a client configured so.
func accepted(t *testing.T, addr string, cfg *tls.Config) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // nothing to lose
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, preface); err != nil {
		return false
	}
	_, err = io.ReadFull(conn, make([]byte, 9))
	return err == nil
}

func TestServerRefuses(t *testing.T) {
	s := serve(t, HandshakeTimeout(2*time.Second))
	always := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	never := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	key, _ := newKey(t)
	victim, _ := newKey(t)
	good := certificate(t, key, always, never)
	config := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: certs, NextProtos: []string{"h2"}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	if !accepted(t, s.addr, config(good)) {
		t.Fatal("refuses an honest client: the cases below prove nothing")
	}
	if !accepted(t, s.addr, config(certificate(t, key, always, always.AddDate(0, 0, 1)))) {
		t.Error("looks at the dates of a certificate; the key alone counts")
	}

	old := config(good)
	old.MaxVersion = tls.VersionTLS12
	noALPN := config(good)
	noALPN.NextProtos = nil
	stolen := certificate(t, victim, always, never)
	stolen.PrivateKey = key
	chain := good
	chain.Certificate = append([][]byte{good.Certificate[0]}, certificate(t, victim, always, never).Certificate...)
	cases := map[string]*tls.Config{
		"TLS 1.2":                       old,
		"no ALPN":                       noALPN,
		"no certificate":                config(),
		"certificate without its key":   config(stolen),
		"a second certificate":          config(chain),
		"a certificate that is no such": config(tls.Certificate{Certificate: [][]byte{{1, 2, 3}}, PrivateKey: key}),
	}
	for kind, k := range kinds(t) {
		cases[kind+" key"] = config(certificate(t, k, always, never))
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			if accepted(t, s.addr, cfg) {
				t.Error("accepted")
			}
		})
	}
}

func TestClientRefuses(t *testing.T) {
	always := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	never := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	pinnedKey, pinned := newKey(t)
	impostor, _ := newKey(t)
	own, _ := newKey(t)
	try := func(t *testing.T, cfg *tls.Config) error {
		t.Helper()
		cfg.NextProtos = []string{"h2"}
		l := listen(t)
		srv := grpc.NewServer(grpc.Creds(credentials.NewTLS(cfg)))
		grpc_health_v1.RegisterHealthServer(srv, &probe{caller: make(chan ed25519.PublicKey, 1)})
		go srv.Serve(l) //nolint:errcheck // ends with Stop
		defer srv.Stop()
		_, err := dial(t, l.Addr().String(), own, pinned)
		return err
	}
	good := certificate(t, pinnedKey, always, never)
	if err := try(t, &tls.Config{Certificates: []tls.Certificate{good}}); err != nil {
		t.Fatalf("refuses an honest server, the cases below prove nothing: %v", err)
	}
	stolen := good
	stolen.PrivateKey = impostor
	chain := certificate(t, impostor, always, never)
	chain.Certificate = append(chain.Certificate, good.Certificate[0])
	cases := map[string]*tls.Config{
		"TLS 1.2":                     {Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12},
		"certificate without its key": {Certificates: []tls.Certificate{stolen}},
		"pinned key second in line":   {Certificates: []tls.Certificate{chain}},
	}
	for kind, k := range kinds(t) {
		cases[kind+" key"] = &tls.Config{Certificates: []tls.Certificate{certificate(t, k, always, never)}}
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			if err := try(t, cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestClientRefusesPlainServer(t *testing.T) {
	l := listen(t)
	srv := grpc.NewServer()
	go srv.Serve(l) //nolint:errcheck // ends with Stop
	defer srv.Stop()
	key, pub := newKey(t)
	if _, err := dial(t, l.Addr().String(), key, pub); err == nil {
		t.Error("connected without TLS")
	}
}

// hold opens a connection from the given loopback address and says nothing on it.
func hold(t *testing.T, from, addr string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// stillOpen counts the connections that the server has not closed after a short time.
func stillOpen(t *testing.T, conns []net.Conn) int {
	t.Helper()
	var n atomic.Int32
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
				t.Error(err)
			}
			var timeout net.Error
			if _, err := c.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return int(n.Load())
}

func TestConnectionFlood(t *testing.T) {
	s := serve(t, MaxConns(20, 8), HandshakeTimeout(3*time.Second))
	var one, many []net.Conn
	for range 40 {
		one = append(one, hold(t, "127.0.0.2", s.addr))
	}
	if n := stillOpen(t, one); n != 8 {
		t.Errorf("one host holds %d connections, bound is 8", n)
	}
	key, _ := newKey(t)
	mustDial(t, s.addr, key, s.pub) // from 127.0.0.1: another host is not kept out

	for i := range 40 {
		many = append(many, hold(t, net.IPv4(127, 0, 1, byte(i+1)).String(), s.addr))
	}
	if a, b := stillOpen(t, one), stillOpen(t, many); a+b > 19 || b == 0 {
		t.Errorf("one host holds %d connections and many others %d; the bound is 20 in all, and one is ours", a, b)
	}
	// Whoever proves no key in time loses its place.
	deadline := time.Now().Add(8 * time.Second)
	for {
		if _, err := dial(t, s.addr, key, s.pub); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("idle connections keep their place: %v", err)
		}
	}
}
