package cert_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

var (
	block      = netip.MustParsePrefix("100.64.0.64/26")
	lighthouse = netip.MustParseAddr("100.127.0.1")
)

func tenant(t testing.TB) *ca.Authority {
	t.Helper()
	a, err := ca.NewTenant(bytes.Repeat([]byte{1}, ca.SeedSize), []netip.Prefix{block}, "tenant", time.Now().Add(-ca.Backdate), time.Now().Add(ca.DefaultLifetime))
	require.NoError(t, err)
	return a
}

func operator(t testing.TB) *ca.Authority {
	t.Helper()
	a, err := ca.NewLighthouse(bytes.Repeat([]byte{101}, ca.SeedSize), lighthouse, "lighthouse", time.Now().Add(-ca.Backdate), time.Now().Add(ca.DefaultLifetime))
	require.NoError(t, err)
	return a
}

func member(t testing.TB, by *ca.Authority) *cert.Certificate {
	t.Helper()
	public, _, err := cert.NewHostKey()
	require.NoError(t, err)
	c, err := by.Issue(ca.Host{Name: "host", Groups: []string{"vm"}, Addr: block.Addr().Next(), PublicKey: public, Validity: time.Hour}, time.Now())
	require.NoError(t, err)
	return c
}

func TestParse(t *testing.T) {
	t.Parallel()
	alice := tenant(t)
	raw, text := alice.Certificate().Raw(), alice.Certificate().PEM()
	for name, c := range map[string]struct {
		in   []byte
		want error
	}{
		"raw":           {raw, nil},
		"pem":           {text, nil},
		"empty":         {nil, cert.ErrMalformed},
		"trailing":      {append(bytes.Clone(raw), 0), cert.ErrMalformed},
		"two":           {append(bytes.Clone(text), text...), cert.ErrMalformed},
		"large":         {make([]byte, cert.MaxBytes+1), cert.ErrTooLarge},
		"large pem":     {append(bytes.Clone(text), make([]byte, 4096)...), cert.ErrTooLarge},
		"other banner":  {bytes.ReplaceAll(text, []byte("NEBULA CERTIFICATE V2"), []byte("CERTIFICATE")), cert.ErrVersion},
		"old version":   {bytes.ReplaceAll(text, []byte("NEBULA CERTIFICATE V2"), []byte("NEBULA CERTIFICATE")), cert.ErrVersion},
		"cut":           {raw[:len(raw)-1], cert.ErrMalformed},
		"pem and text":  {append(bytes.Clone(text), "more"...), cert.ErrMalformed},
		"newline after": {append(bytes.Clone(text), "\n\n"...), nil},
	} {
		got, err := cert.Parse(c.in)
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, alice.Certificate().Fingerprint(), got.Fingerprint(), name)
		require.Equal(t, raw, got.Raw(), name)
	}
	require.Less(t, len(raw), 512)
	require.Equal(t, ca.SeedSize, 32)
}

func TestHostKey(t *testing.T) {
	t.Parallel()
	public, private, err := cert.NewHostKey()
	require.NoError(t, err)
	alice := tenant(t)
	c, err := alice.Issue(ca.Host{Name: "host", Addr: block.Addr().Next(), PublicKey: public, Validity: time.Hour}, time.Now())
	require.NoError(t, err)
	text := cert.HostKeyPEM(private)
	for name, b := range map[string][]byte{"raw": private, "pem": text, "newline after": append(bytes.Clone(text), '\n')} {
		key, err := cert.ParseHostKey(b)
		require.NoError(t, err, name)
		require.Equal(t, private, key, name)
		require.NoError(t, c.CheckKey(key), name)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "short": private[1:], "two": append(bytes.Clone(text), text...), "a certificate": c.PEM(),
		"another curve": bytes.ReplaceAll(text, []byte("X25519"), []byte("P256")),
	} {
		_, err := cert.ParseHostKey(b)
		require.ErrorIs(t, err, cert.ErrKey, name)
	}
	_, other, err := cert.NewHostKey()
	require.NoError(t, err)
	require.ErrorIs(t, c.CheckKey(other), cert.ErrKeyMismatch)
}

// Certificates come off the chain, where anybody puts them.
func FuzzParse(f *testing.F) {
	alice, op := tenant(f), operator(f)
	f.Add(alice.Certificate().Raw())
	f.Add(op.Certificate().PEM())
	f.Add(member(f, alice).Raw())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := cert.Parse(b)
		if err != nil {
			if c != nil {
				t.Fatal("an error with a certificate")
			}
			return
		}
		if len(c.Raw()) > cert.MaxBytes || len(c.PublicKey()) != cert.KeySize || len(c.Fingerprint()) != 64 {
			t.Fatalf("%d bytes, a key of %d", len(c.Raw()), len(c.PublicKey()))
		}
		for _, form := range [][]byte{c.Raw(), c.PEM()} {
			again, err := cert.Parse(form)
			if err != nil || again.Fingerprint() != c.Fingerprint() || !bytes.Equal(again.Raw(), c.Raw()) {
				t.Fatalf("does not survive its own encoding: %v", err)
			}
		}
		// None of these may panic on what was parsed.
		_ = c.SelfSigned()
		_ = c.CheckPinned(lighthouse)
		_ = cert.Verify(c, c.NotBefore(), alice.Certificate(), op.Certificate())
	})
}
