// Package ca is the authority each party of the mesh is to itself: a tenant
// signs the certificates of its VMs and devices, a lighthouse operator the
// one of its lighthouse. There is no other authority above them.
//
// # Lifetimes
//
// An authority's certificate lives [DefaultLifetime]: authorities that expire
// unnoticed after a year are what kills networks of this kind. It is renewed
// with the same key and a later validity well before, at [RenewBefore]. A new
// certificate has a new fingerprint, and a host's certificate names its
// authority by fingerprint, so renewal has three steps: publish and trust both,
// sign the hosts again, drop the old one.
package ca

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/cert"
)

const (
	// SeedSize is the length in bytes of the secret an authority grows from.
	SeedSize = 32
	// DefaultLifetime of an authority's certificate.
	DefaultLifetime = 10 * 365 * 24 * time.Hour
	// RenewBefore its end an authority should be renewed.
	RenewBefore = DefaultLifetime / 3
	// Backdate lets hosts whose clock is slow by up to this join at once. The
	// caller backdates an authority, Issue backdates hosts.
	Backdate = time.Hour
)

// Errors of making and using an authority.
var (
	ErrSeed    = errors.New("authority seed is not 32 bytes")
	ErrTimes   = errors.New("validity ends before it begins")
	ErrWrongCA = errors.New("certificate does not belong to this seed")
)

// Authority signs certificates of one party. It never changes.
type Authority struct {
	cert *cert.Certificate
	key  ed25519.PrivateKey
}

// key grows the signing key from the seed, under a name of its own so that a
// seed used elsewhere too gives nothing away.
func key(seed []byte) (ed25519.PrivateKey, error) {
	if len(seed) != SeedSize {
		return nil, fmt.Errorf("%w but %d", ErrSeed, len(seed))
	}
	k, err := hkdf.Key(sha256.New, seed, nil, "hippius mesh authority ed25519 v1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive authority key: %w", err)
	}
	return ed25519.NewKeyFromSeed(k), nil
}

// PublicKey is the authority's key, 32 bytes, that a party registers before it
// is allocated networks and can make its certificate.
func PublicKey(seed []byte) (ed25519.PublicKey, error) {
	k, err := key(seed)
	if err != nil {
		return nil, err
	}
	return ed25519.PublicKey(k[ed25519.SeedSize:]), nil
}

// NewTenant makes a tenant's authority for exactly the networks it was
// allocated. Equal arguments give the same certificate. Give notBefore an
// allowance of Backdate for slow clocks.
func NewTenant(seed []byte, networks []netip.Prefix, name string, notBefore, notAfter time.Time) (*Authority, error) {
	if err := admit.TenantBlock(networks); err != nil {
		return nil, err
	}
	return newAuthority(seed, networks, nil, name, notBefore, notAfter)
}

// NewLighthouse makes a lighthouse operator's authority, which can name the
// one address and nothing else.
func NewLighthouse(seed []byte, addr netip.Addr, name string, notBefore, notAfter time.Time) (*Authority, error) {
	if err := admit.LighthouseAddress(addr); err != nil {
		return nil, err
	}
	only := []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
	return newAuthority(seed, only, []string{admit.LighthouseGroup}, name, notBefore, notAfter)
}

func newAuthority(seed []byte, networks []netip.Prefix, groups []string, name string, notBefore, notAfter time.Time) (*Authority, error) {
	k, err := key(seed)
	if err != nil {
		return nil, err
	}
	if !notAfter.After(notBefore) {
		return nil, fmt.Errorf("authority %q: %w", name, ErrTimes)
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	c, err := cert.SignAuthority(cert.Template{
		Name:     name,
		Networks: networks,
		// Named as well, or its hosts could claim to forward for any network.
		UnsafeNetworks: networks,
		Groups:         groups,
		NotBefore:      notBefore,
		NotAfter:       notAfter,
	}, k)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: c, key: k}, nil
}

// Open takes up an authority whose certificate, PEM or raw, exists already.
func Open(seed, certificate []byte) (*Authority, error) {
	k, err := key(seed)
	if err != nil {
		return nil, err
	}
	c, err := cert.Parse(certificate)
	if err != nil {
		return nil, err
	}
	if !c.IsCA() || !c.SelfSigned() || !slices.Equal(c.PublicKey(), []byte(k[ed25519.SeedSize:])) {
		return nil, fmt.Errorf("%w: %q", ErrWrongCA, c.Name())
	}
	return &Authority{cert: c, key: k}, nil
}

// Certificate is the authority's own, public.
func (a *Authority) Certificate() *cert.Certificate { return a.cert }

// NeedsRenewal tells whether less than RenewBefore is left at now.
func (a *Authority) NeedsRenewal(now time.Time) bool {
	return now.Add(RenewBefore).After(a.cert.NotAfter())
}

// Renew gives the same authority a certificate that lasts longer: same key,
// name, networks and groups. See the package's words on the three steps.
func (a *Authority) Renew(notBefore, notAfter time.Time) (*Authority, error) {
	if !notAfter.After(notBefore) {
		return nil, fmt.Errorf("authority %q: %w", a.cert.Name(), ErrTimes)
	}
	c, err := cert.SignAuthority(cert.Template{
		Name:           a.cert.Name(),
		Networks:       a.cert.Networks(),
		UnsafeNetworks: a.cert.UnsafeNetworks(),
		Groups:         a.cert.Groups(),
		NotBefore:      notBefore,
		NotAfter:       notAfter,
	}, a.key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert: c, key: a.key}, nil
}
