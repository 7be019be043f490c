package cert

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	nebula "github.com/slackhq/nebula/cert"
)

// MaxBytes bounds a certificate in its raw form, authorities and
// hosts alike: what the chain stores of a party is never larger.
const MaxBytes = 1024

// maxPEMBytes bounds the text form of a certificate within MaxBytes.
const maxPEMBytes = 2048

// Errors of parsing and checking a certificate.
var (
	ErrTooLarge  = errors.New("certificate is larger than 1 KiB")
	ErrMalformed = errors.New("certificate is malformed")
	ErrVersion   = errors.New("certificate is not of version 2")
	ErrCurve     = errors.New("certificate is not for Curve25519")
	ErrNotPinned = errors.New("lighthouse authority is not pinned to its lighthouse's address")
)

// Certificate is a parsed certificate of version 2 over Curve25519: a host's,
// or an authority's. It never changes. Parsing proves its form only, not who
// signed it; see [Certificate.SelfSigned] and [Verify].
type Certificate struct {
	c           nebula.Certificate
	raw         []byte
	fingerprint string
}

// Parse reads one certificate, raw or as a PEM block. It accepts
// only the one canonical encoding, so equal certificates have equal bytes.
func Parse(b []byte) (*Certificate, error) {
	raw, err := rawCertificate(b)
	if err != nil {
		return nil, err
	}
	// The library parses raw bytes only through PEM.
	c, _, err := nebula.UnmarshalCertificateFromPEM(pem.EncodeToMemory(&pem.Block{
		Type: nebula.CertificateV2Banner, Bytes: raw,
	}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if c.Curve() != nebula.Curve_CURVE25519 {
		return nil, ErrCurve
	}
	if len(c.PublicKey()) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: public key of %d bytes", ErrMalformed, len(c.PublicKey()))
	}
	out, err := wrap(c)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(out.raw, raw) {
		return nil, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return out, nil
}

// rawCertificate takes the raw bytes out of either form, within the bounds.
func rawCertificate(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN ")) {
		if len(b) > MaxBytes {
			return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
		}
		return b, nil
	}
	if len(b) > maxPEMBytes {
		return nil, fmt.Errorf("%w: %d bytes of PEM", ErrTooLarge, len(b))
	}
	block, rest := pem.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || len(block.Headers) > 0 {
		return nil, fmt.Errorf("%w: not exactly one PEM block", ErrMalformed)
	}
	if block.Type != nebula.CertificateV2Banner {
		return nil, fmt.Errorf("%w: PEM block is %q", ErrVersion, block.Type)
	}
	if len(block.Bytes) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(block.Bytes))
	}
	return block.Bytes, nil
}

func wrap(c nebula.Certificate) (*Certificate, error) {
	raw, err := c.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(raw))
	}
	fp, err := c.Fingerprint()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &Certificate{c: c, raw: raw, fingerprint: fp}, nil
}

// Raw returns the encoding that travels and is stored on the chain.
func (c *Certificate) Raw() []byte { return bytes.Clone(c.raw) }

// PEM returns the text form.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: nebula.CertificateV2Banner, Bytes: c.raw})
}

// Fingerprint is the hex SHA-256 by which blocklists and issuers name it.
func (c *Certificate) Fingerprint() string { return c.fingerprint }

// Name is the name its signer gave it; it carries no authority.
func (c *Certificate) Name() string { return c.c.Name() }

// IsCA tells an authority from a host.
func (c *Certificate) IsCA() bool { return c.c.IsCA() }

// Networks are a host's addresses, each with its network's prefix length, or
// the networks an authority may assign from (empty: any), in order.
func (c *Certificate) Networks() []netip.Prefix { return slices.Clone(c.c.Networks()) }

// UnsafeNetworks are networks a host may forward for, or that an authority
// lets its hosts forward for (empty: any), in order.
func (c *Certificate) UnsafeNetworks() []netip.Prefix { return slices.Clone(c.c.UnsafeNetworks()) }

// Groups are the names firewall rules can match, or those an authority may
// give (empty: any).
func (c *Certificate) Groups() []string { return slices.Clone(c.c.Groups()) }

// NotBefore is the start of validity, in whole seconds.
func (c *Certificate) NotBefore() time.Time { return c.c.NotBefore().UTC() }

// NotAfter is the end of validity, in whole seconds.
func (c *Certificate) NotAfter() time.Time { return c.c.NotAfter().UTC() }

// Issuer is the fingerprint of the signing authority, empty for an authority.
func (c *Certificate) Issuer() string { return c.c.Issuer() }

// PublicKey is Ed25519 for an authority and X25519 for a host, 32 bytes.
func (c *Certificate) PublicKey() []byte { return bytes.Clone(c.c.PublicKey()) }

// SelfSigned reports whether the certificate's own key signed it, as an
// authority's must have.
func (c *Certificate) SelfSigned() bool { return c.c.CheckSignature(c.c.PublicKey()) }

// CheckTime returns ErrNotYetValid or ErrExpired, wrapped with the bounds and
// the clock that was used, or nil.
func (c *Certificate) CheckTime(now time.Time) error {
	switch {
	case now.Before(c.c.NotBefore()):
		return &ClockError{Name: c.Name(), Now: now.UTC(), Bound: c.NotBefore(), Kind: ErrNotYetValid}
	case now.After(c.c.NotAfter()):
		return &ClockError{Name: c.Name(), Now: now.UTC(), Bound: c.NotAfter(), Kind: ErrExpired}
	}
	return nil
}

// CheckPinned returns ErrNotPinned, wrapped with what the certificate says,
// unless all that an authority can name is the one address: neither as a host's
// address may it name another nor, which an authority that lists no unsafe
// networks could, as a network that a host forwards for.
func (c *Certificate) CheckPinned(addr netip.Addr) error {
	only := []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
	if !slices.Equal(c.c.Networks(), only) || !slices.Equal(c.c.UnsafeNetworks(), only) {
		return fmt.Errorf("%w: %q names %v and forwards for %v", ErrNotPinned, c.Name(), c.c.Networks(), c.c.UnsafeNetworks())
	}
	return nil
}
