package connect

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/tenant"
)

// Certificates implements tenant.Certificates by the mesh's own.
type Certificates struct{}

// PublicKey implements tenant.Certificates.
func (Certificates) PublicKey(seed []byte) ([]byte, error) { return ca.PublicKey(seed) }

// Make implements tenant.Certificates.
func (Certificates) Make(seed []byte, networks []netip.Prefix, name string, now time.Time) (tenant.Authority, error) {
	return opened(ca.NewTenant(seed, networks, name, now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime)))
}

// Open implements tenant.Certificates.
func (Certificates) Open(seed, certificate []byte) (tenant.Authority, error) {
	return opened(ca.Open(seed, certificate))
}

func opened(a *ca.Authority, err error) (tenant.Authority, error) {
	if err != nil {
		return nil, err
	}
	return authority{a}, nil
}

type authority struct{ ca *ca.Authority }

func (a authority) Certificate() []byte { return a.ca.Certificate().Raw() }

func (a authority) PEM() string { return string(a.ca.Certificate().PEM()) }

func (a authority) Issue(m tenant.Member, now time.Time) (tenant.Identity, error) {
	public, private, err := cert.NewHostKey()
	if err != nil {
		return tenant.Identity{}, err
	}
	c, err := a.ca.Issue(ca.Host{Name: m.Name, Groups: []string{m.Group}, Addr: m.Addr, PublicKey: public, Validity: m.Validity}, now)
	if err != nil {
		return tenant.Identity{}, err
	}
	fingerprint, err := hex.DecodeString(c.Fingerprint())
	if err != nil {
		return tenant.Identity{}, fmt.Errorf("fingerprint of the certificate for %q: %w", m.Name, err)
	}
	return tenant.Identity{
		Cert: string(c.PEM()), Key: string(cert.HostKeyPEM(private)), Fingerprint: fingerprint, NotAfter: c.NotAfter(),
	}, nil
}
