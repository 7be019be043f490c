// Package instance describes one incarnation of a VM: the bundle of secrets it
// runs with, how the bundle is sealed, and the digests that bind keepers'
// receipts and shares to it. Nothing of instance k opens instance k+1.
package instance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hippius/compute/core/vm"
)

// Limits of what keepers store, in bytes. Eight bundles and the user data stay under 128 KiB a VM.
const (
	MaxBundle         = 10 << 10
	MaxSealedBundle   = MaxBundle + sealOverhead
	MaxUserData       = 32 << 10
	MaxSealedUserData = MaxUserData + sealOverhead
	MaxDealt          = 16
)

// KeySize of every symmetric key and seed here, in bytes.
const KeySize = 32

// Bundle is everything secret that one instance runs with. The tenant's client
// makes it; only the miner that holds the VM opens it.
type Bundle struct {
	Version int    `json:"version"`
	VMID    vm.ID  `json:"vm_id"`
	Seq     uint32 `json:"seq"`
	// ProofKey is the Ed25519 seed of the guest key, 32 bytes.
	ProofKey []byte `json:"proof_key"`
	// MeshCA, MeshCert and MeshKey are Nebula PEMs: the tenant's CA, the instance's certificate and its key.
	MeshCA   string `json:"mesh_ca"`
	MeshCert string `json:"mesh_cert"`
	MeshKey  string `json:"mesh_key"`
	// SSHHostKey is an OpenSSH private key PEM; SSHHostCert the host certificate line signed by the VM's host CA.
	SSHHostKey  string `json:"ssh_host_key"`
	SSHHostCert string `json:"ssh_host_cert"`
	// DiskKey encrypts the root overlay, CheckpointKey what leaves the host; 32 bytes each.
	DiskKey       []byte `json:"disk_key"`
	CheckpointKey []byte `json:"checkpoint_key"`
	// UserDataKey opens the sealed user data; empty when there is none.
	UserDataKey []byte `json:"user_data_key,omitempty"`
}

const bundleVersion = 1

// EncodeBundle checks b and gives its bytes, at most MaxBundle.
func EncodeBundle(b Bundle) ([]byte, error) {
	b.Version = bundleVersion
	if err := b.check(); err != nil {
		return nil, err
	}
	out, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	if len(out) > MaxBundle {
		return nil, fmt.Errorf("bundle has %d bytes; at most %d fit", len(out), MaxBundle)
	}
	return out, nil
}

// DecodeBundle reads what EncodeBundle gave and checks that it belongs to the VM and instance.
func DecodeBundle(data []byte, id vm.ID, seq uint32) (Bundle, error) {
	var b Bundle
	if len(data) > MaxBundle {
		return b, fmt.Errorf("bundle has %d bytes; at most %d are accepted", len(data), MaxBundle)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return Bundle{}, fmt.Errorf("decode bundle: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Bundle{}, errors.New("decode bundle: data after its end")
	}
	if err := b.check(); err != nil {
		return Bundle{}, err
	}
	if b.VMID != id || b.Seq != seq {
		return Bundle{}, fmt.Errorf("bundle is of VM %.40q instance %d, not %q instance %d", b.VMID, b.Seq, id, seq)
	}
	return b, nil
}

func (b Bundle) check() error {
	switch {
	case b.Version != bundleVersion:
		return fmt.Errorf("bundle version %d; this program knows %d", b.Version, bundleVersion)
	case len(b.ProofKey) != KeySize:
		return fmt.Errorf("bundle's proof key has %d bytes, want %d", len(b.ProofKey), KeySize)
	case len(b.DiskKey) != KeySize:
		return fmt.Errorf("bundle's disk key has %d bytes, want %d", len(b.DiskKey), KeySize)
	case len(b.CheckpointKey) != KeySize:
		return fmt.Errorf("bundle's checkpoint key has %d bytes, want %d", len(b.CheckpointKey), KeySize)
	case len(b.UserDataKey) != 0 && len(b.UserDataKey) != KeySize:
		return fmt.Errorf("bundle's user data key has %d bytes, want %d or none", len(b.UserDataKey), KeySize)
	case b.MeshCA == "" || b.MeshCert == "" || b.MeshKey == "":
		return errors.New("bundle lacks a part of the mesh identity")
	case b.SSHHostKey == "" || b.SSHHostCert == "":
		return errors.New("bundle lacks the SSH host key or its certificate")
	case b.Seq == 0:
		return errors.New("bundle's instance number is 0; the first is 1")
	}
	return nil
}
