package nebula

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hippius/compute/mesh/cert"
)

// trust is a configuration's certificates, parsed and checked.
type trust struct {
	host *cert.Certificate
	key  []byte // X25519, 32 bytes
	// own are the fingerprints of the authorities of the node's network.
	own []string
	// issuers are the fingerprints of every authority that is trusted now.
	issuers map[string]struct{}
	// bundle is every authority that is trusted now, as PEM.
	bundle []byte
	// seen remembers checked authorities by their bytes for the next reload:
	// a signature check costs tens of microseconds, and there may be thousands.
	seen map[string]*cert.Certificate
	// outOfTime counts authorities left out because they are not valid now.
	outOfTime int
}

// load checks the certificates of c at the time now, all or nothing. What the
// library would only write to its log during a reload is an error here.
func load(c Config, now time.Time, known map[string]*cert.Certificate) (*trust, error) {
	t := &trust{issuers: map[string]struct{}{}, seen: map[string]*cert.Certificate{}}
	var err error
	if t.host, t.key, err = loadHost(c); err != nil {
		return nil, err
	}
	var signers []*cert.Certificate
	add := func(b []byte, what string) (*cert.Certificate, error) {
		a, err := t.authority(b, known)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if a.Fingerprint() == t.host.Issuer() {
			signers = append(signers, a)
		}
		t.trust(a, now)
		return a, nil
	}
	for i, b := range c.CAs {
		a, err := add(b, fmt.Sprintf("authority %d", i))
		if err != nil {
			return nil, err
		}
		t.own = append(t.own, a.Fingerprint())
	}
	if len(c.SelfCA) > 0 {
		if _, err := add(c.SelfCA, "own authority"); err != nil {
			return nil, err
		}
	}
	if err := cert.Verify(t.host, now, signers...); err != nil {
		return nil, fmt.Errorf("own certificate: %w", err)
	}
	// Last, so that a lighthouse's authority can never have signed our own.
	for _, l := range c.Lighthouses {
		a, err := add(l.CA, "authority of lighthouse "+l.Addr.String())
		if err != nil {
			return nil, err
		}
		if err := pinned(a, l.Addr, t.host.Networks()); err != nil {
			return nil, fmt.Errorf("lighthouse %s: %w", l.Addr, err)
		}
	}
	return t, nil
}

func loadHost(c Config) (*cert.Certificate, []byte, error) {
	host, err := cert.Parse(c.Cert)
	if err != nil {
		return nil, nil, fmt.Errorf("own certificate: %w", err)
	}
	if host.IsCA() {
		return nil, nil, invalid("own certificate is an authority's")
	}
	key, err := cert.ParseHostKey(c.Key)
	if err != nil {
		return nil, nil, invalid("own key: %w", err)
	}
	if err := host.CheckKey(key); err != nil {
		return nil, nil, err
	}
	return host, key, nil
}

// authority parses and checks one, unless these very bytes were checked before.
func (t *trust) authority(b []byte, known map[string]*cert.Certificate) (*cert.Certificate, error) {
	if a, ok := known[string(b)]; ok {
		t.seen[string(b)] = a
		return a, nil
	}
	a, err := cert.Parse(b)
	if err != nil {
		return nil, err
	}
	if !a.IsCA() || !a.SelfSigned() {
		return nil, fmt.Errorf("%w: %q is not a self-signed authority", cert.ErrUntrusted, a.Name())
	}
	t.seen[string(b)] = a
	return a, nil
}

func (t *trust) trust(a *cert.Certificate, now time.Time) {
	if _, twice := t.issuers[a.Fingerprint()]; twice {
		return
	}
	if a.CheckTime(now) != nil {
		t.outOfTime++
		return
	}
	t.issuers[a.Fingerprint()] = struct{}{}
	t.bundle = append(t.bundle, a.PEM()...)
}

// pinned checks that a lighthouse's authority can name nothing but the
// lighthouse, which must be outside our own networks.
func pinned(a *cert.Certificate, addr netip.Addr, ours []netip.Prefix) error {
	if err := a.CheckPinned(addr); err != nil {
		return err
	}
	for _, n := range ours {
		if n.Contains(addr) {
			return fmt.Errorf("%w: %s lies inside our own network %s", cert.ErrNotPinned, addr, n.Masked())
		}
	}
	return nil
}

// sameNetworks refuses a certificate that moves a running node.
func (t *trust) sameNetworks(next *trust) error {
	if !slices.Equal(t.host.Networks(), next.host.Networks()) {
		return fmt.Errorf("%w: from %v to %v", ErrNetworksChanged, t.host.Networks(), next.host.Networks())
	}
	return nil
}
