package cert

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	nebula "github.com/slackhq/nebula/cert"
)

// ErrUntrusted means no authority at hand vouches for the certificate.
var ErrUntrusted = errors.New("certificate is not signed by a trusted authority")

// Template is what a new certificate shall say. PublicKey is Ed25519 for an
// authority, X25519 for a host. Times are cut to whole seconds.
type Template struct {
	Name           string
	Networks       []netip.Prefix
	UnsafeNetworks []netip.Prefix
	Groups         []string
	NotBefore      time.Time
	NotAfter       time.Time
	PublicKey      []byte
}

func (t Template) toBeSigned(isCA bool) *nebula.TBSCertificate {
	return &nebula.TBSCertificate{
		Version:        nebula.Version2,
		Curve:          nebula.Curve_CURVE25519,
		Name:           t.Name,
		Networks:       slices.Clone(t.Networks),
		UnsafeNetworks: slices.Clone(t.UnsafeNetworks),
		Groups:         slices.Clone(t.Groups),
		IsCA:           isCA,
		NotBefore:      t.NotBefore.Truncate(time.Second),
		NotAfter:       t.NotAfter.Truncate(time.Second),
		PublicKey:      slices.Clone(t.PublicKey),
	}
}

// SignAuthority makes the self-signed certificate of an authority. Equal
// arguments give equal bytes. The template's PublicKey is ignored.
func SignAuthority(t Template, key ed25519.PrivateKey) (*Certificate, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if len(key) != ed25519.PrivateKeySize || !ok {
		return nil, fmt.Errorf("sign authority %q: not an Ed25519 private key", t.Name)
	}
	t.PublicKey = public
	c, err := t.toBeSigned(true).Sign(nil, nebula.Curve_CURVE25519, key)
	if err != nil {
		return nil, fmt.Errorf("sign authority %q: %w", t.Name, err)
	}
	return reparsed(c)
}

// SignHost makes a host's certificate. It refuses what the authority does not
// allow: networks, groups and times outside its own.
func SignHost(t Template, authority *Certificate, key ed25519.PrivateKey) (*Certificate, error) {
	if err := authority.c.VerifyPrivateKey(nebula.Curve_CURVE25519, key); err != nil {
		return nil, fmt.Errorf("sign host %q: key of %q: %w", t.Name, authority.Name(), err)
	}
	if len(t.PublicKey) != KeySize {
		return nil, fmt.Errorf("sign host %q: public key of %d bytes, want %d", t.Name, len(t.PublicKey), KeySize)
	}
	c, err := t.toBeSigned(false).Sign(authority.c, nebula.Curve_CURVE25519, key)
	if err != nil {
		return nil, fmt.Errorf("sign host %q: %w", t.Name, err)
	}
	return reparsed(c)
}

// reparsed proves that what was just signed is what every reader accepts.
func reparsed(c nebula.Certificate) (*Certificate, error) {
	w, err := wrap(c)
	if err != nil {
		return nil, err
	}
	return Parse(w.raw)
}

// Verify checks a host's certificate as a peer would: signed by one of the
// authorities, within its constraints and both within their validity at now.
func Verify(host *Certificate, now time.Time, authorities ...*Certificate) error {
	pool := nebula.NewCAPool()
	for _, a := range authorities {
		if err := pool.AddCA(a.c); err != nil && !errors.Is(err, nebula.ErrExpired) {
			return fmt.Errorf("authority %q: %w", a.Name(), err)
		}
	}
	// Times first: the library calls a certificate from the future expired.
	if err := host.CheckTime(now); err != nil {
		return err
	}
	if signer, ok := pool.CAs[host.Issuer()]; ok {
		w := Certificate{c: signer.Certificate}
		if err := w.CheckTime(now); err != nil {
			return fmt.Errorf("authority of %q: %w", host.Name(), err)
		}
	}
	if _, err := pool.VerifyCertificate(now, host.c); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrUntrusted, host.Name(), err)
	}
	return nil
}
