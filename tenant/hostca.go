package tenant

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/core/vm"
)

// HostCA signs the SSH host certificates of one VM's instances. Each has a host key of its own; the CA's key stands in
// the spec on chain, so a client that trusts it trusts any instance, wherever it runs.
type HostCA struct {
	key    ed25519.PrivateKey
	signer ssh.Signer
}

// NewHostCA makes the CA from its 32-byte seed.
func NewHostCA(seed []byte) (*HostCA, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("host CA seed has %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(seed)
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, fmt.Errorf("host CA: %w", err)
	}
	return &HostCA{key: key, signer: signer}, nil
}

// Public is the CA's Ed25519 key as it stands in the spec, 32 bytes.
func (c *HostCA) Public() ed25519.PublicKey {
	return c.key.Public().(ed25519.PublicKey)
}

// HostKey is one instance's SSH identity.
type HostKey struct {
	// Key is the private key, an OpenSSH PEM.
	Key string
	// Cert is the host certificate, one line.
	Cert string
}

// Issue makes a host key and certifies it for the principals from notBefore to notAfter.
func (c *HostCA) Issue(rand io.Reader, id vm.ID, seq uint32, principals []string, notBefore, notAfter time.Time) (HostKey, error) {
	pub, key, err := ed25519.GenerateKey(rand)
	if err != nil {
		return HostKey{}, fmt.Errorf("make host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, string(id))
	if err != nil {
		return HostKey{}, fmt.Errorf("encode host key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return HostKey{}, fmt.Errorf("encode host key: %w", err)
	}
	cert := &ssh.Certificate{
		Key:             sshPub,
		Serial:          uint64(seq),
		CertType:        ssh.HostCert,
		KeyId:           fmt.Sprintf("%s/%d", id, seq),
		ValidPrincipals: principals,
		ValidAfter:      uint64(notBefore.Unix()),
		ValidBefore:     uint64(notAfter.Unix()),
	}
	if err := cert.SignCert(rand, c.signer); err != nil {
		return HostKey{}, fmt.Errorf("sign host certificate: %w", err)
	}
	return HostKey{
		Key:  string(pem.EncodeToMemory(block)),
		Cert: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert))),
	}, nil
}

// KnownHosts is the one line of a known_hosts file that makes ssh accept host
// certificates of the CA, given as on chain, for the alias only.
func KnownHosts(alias string, ca []byte) (string, error) {
	if len(ca) != ed25519.PublicKeySize {
		return "", fmt.Errorf("host CA on chain has %d bytes, want %d", len(ca), ed25519.PublicKeySize)
	}
	pub, err := ssh.NewPublicKey(ed25519.PublicKey(ca))
	if err != nil {
		return "", fmt.Errorf("host CA on chain: %w", err)
	}
	return "@cert-authority " + alias + " " + string(ssh.MarshalAuthorizedKey(pub)), nil
}
