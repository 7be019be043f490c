package tenant

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
)

const (
	// CertLife of an instance's mesh and host certificates. They are renewed by dealing anew.
	CertLife = 2 * 365 * 24 * time.Hour
	// backdate lets an SSH client whose clock is slow by up to this believe a new host certificate.
	backdate = time.Hour

	groupVM     = "vm"
	groupDevice = "device"
)

// Maker makes the secret bundles of one VM's instances.
type Maker struct {
	ID        vm.ID
	Name      string
	Addr      netip.Addr
	Authority Authority
	Host      *HostCA
	Now       time.Time
}

// Bundle makes instance seq: its keys are random, its certificates the tenant's.
func (m Maker) Bundle(seq uint32) (instance.Bundle, Public, error) {
	guestKey, guestPriv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return instance.Bundle{}, Public{}, fmt.Errorf("make proof key: %w", err)
	}
	member, err := m.Authority.Issue(Member{Name: m.Name, Group: groupVM, Addr: m.Addr, Validity: CertLife}, m.Now)
	if err != nil {
		return instance.Bundle{}, Public{}, fmt.Errorf("mesh certificate of instance %d: %w", seq, err)
	}
	host, err := m.Host.Issue(rand.Reader, m.ID, seq, []string{string(m.ID), m.Addr.String(), m.Name}, m.Now.Add(-backdate), m.Now.Add(CertLife))
	if err != nil {
		return instance.Bundle{}, Public{}, err
	}
	b := instance.Bundle{
		VMID: m.ID, Seq: seq,
		ProofKey:    guestPriv.Seed(),
		MeshCA:      m.Authority.PEM(),
		MeshCert:    member.Cert,
		MeshKey:     member.Key,
		SSHHostKey:  host.Key,
		SSHHostCert: host.Cert,
		DiskKey:     randomKey(), CheckpointKey: randomKey(),
	}
	return b, Public{GuestKey: guestKey, MeshFingerprint: member.Fingerprint}, nil
}

// randomKey never fails: crypto/rand ends the program rather than give less.
func randomKey() []byte {
	b := make([]byte, instance.KeySize)
	_, _ = rand.Read(b)
	return b
}
