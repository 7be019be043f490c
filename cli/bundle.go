package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"time"

	"github.com/hippius/compute/cli/deal"
	"github.com/hippius/compute/cli/hostkey"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
)

const (
	// certLife of an instance's mesh and host certificates. They are renewed by dealing anew.
	certLife = 2 * 365 * 24 * time.Hour
	// meshKeyType is the PEM type of a Nebula X25519 key.
	meshKeyType = "NEBULA X25519 PRIVATE KEY"
	groupVM     = "vm"
	groupDevice = "device"
)

// maker makes the secret bundles of one VM's instances.
type maker struct {
	id   vm.ID
	name string
	addr netip.Addr
	mesh *ca.Authority
	host *hostkey.CA
	now  time.Time
}

// bundle makes instance seq: its keys are random, its certificates the tenant's.
func (m maker) bundle(seq uint32) (instance.Bundle, deal.Public, error) {
	guestKey, guestPriv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return instance.Bundle{}, deal.Public{}, fmt.Errorf("make proof key: %w", err)
	}
	meshPub, meshPriv, err := cert.NewHostKey()
	if err != nil {
		return instance.Bundle{}, deal.Public{}, err
	}
	cert, err := m.mesh.Issue(ca.Host{
		Name: m.name, Groups: []string{groupVM}, Addr: m.addr, PublicKey: meshPub, Validity: certLife,
	}, m.now)
	if err != nil {
		return instance.Bundle{}, deal.Public{}, fmt.Errorf("mesh certificate of instance %d: %w", seq, err)
	}
	fingerprint, err := hex.DecodeString(cert.Fingerprint())
	if err != nil {
		return instance.Bundle{}, deal.Public{}, fmt.Errorf("mesh certificate of instance %d: %w", seq, err)
	}
	host, err := m.host.Issue(rand.Reader, m.id, seq, []string{string(m.id), m.addr.String(), m.name},
		m.now.Add(-ca.Backdate), m.now.Add(certLife))
	if err != nil {
		return instance.Bundle{}, deal.Public{}, err
	}
	b := instance.Bundle{
		VMID: m.id, Seq: seq,
		ProofKey:    guestPriv.Seed(),
		MeshCA:      string(m.mesh.Certificate().PEM()),
		MeshCert:    string(cert.PEM()),
		MeshKey:     string(pem.EncodeToMemory(&pem.Block{Type: meshKeyType, Bytes: meshPriv})),
		SSHHostKey:  host.Key,
		SSHHostCert: host.Cert,
		DiskKey:     randomKey(), CheckpointKey: randomKey(),
	}
	return b, deal.Public{GuestKey: guestKey, MeshFingerprint: fingerprint}, nil
}

// randomKey never fails: crypto/rand ends the program rather than give less.
func randomKey() []byte {
	b := make([]byte, instance.KeySize)
	_, _ = rand.Read(b)
	return b
}
