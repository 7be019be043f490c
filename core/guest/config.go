// Package guest is the language between a miner and the agent inside a VM: the
// configuration on the seed, and the messages over the virtio-serial channel.
package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hippius/compute/core/vm"
)

// Names both sides find each other by.
const (
	// ConfigFile lies at the root of the CIDATA medium.
	ConfigFile = "hippius.json"
	// SeedLabel and AgentLabel are the volume labels of the two CDs.
	SeedLabel  = "CIDATA"
	AgentLabel = "HIPPIUS"
	// AgentFile and InstallFile lie at the root of the agent's CD.
	AgentFile   = "hippius-guest"
	InstallFile = "install.sh"
	// ChannelName is the virtio-serial port.
	ChannelName = "org.hippius.guest.0"
	// User logs in.
	User = "hippius"
	// MeshPort is the fixed UDP port Nebula listens on inside guests.
	MeshPort = 4242
)

// MaxConfig bounds the configuration file, in bytes: secrets, and as much of the mesh as a message may have.
const MaxConfig = MaxLineToGuest + 32<<10

// Lighthouse introduces the guest to its tenant's other hosts.
type Lighthouse struct {
	// Address in the mesh, one of 100.127.0.0/16.
	Address string `json:"address"`
	// Underlay endpoints "ip:port".
	Underlay []string `json:"underlay"`
	// CA is the PEM of the lighthouse operator's CA, constrained to Address.
	CA string `json:"ca"`
	// Relay says that it also relays.
	Relay bool `json:"relay"`
}

// Mesh is the changing part of a guest's mesh settings.
type Mesh struct {
	Lighthouses []Lighthouse `json:"lighthouses"`
	// Blocklist of certificate fingerprints, hex.
	Blocklist []string `json:"blocklist"`
}

// Config is what the agent reads at each start of the VM.
type Config struct {
	Version  int    `json:"version"`
	ChainID  string `json:"chain_id"`
	VMID     vm.ID  `json:"vm_id"`
	Seq      uint32 `json:"seq"`
	Hostname string `json:"hostname"`
	// ProofKey is the Ed25519 seed, 32 bytes.
	ProofKey []byte `json:"proof_key"`
	// MeshCA, MeshCert, MeshKey are PEMs.
	MeshCA      string `json:"mesh_ca"`
	MeshCert    string `json:"mesh_cert"`
	MeshKey     string `json:"mesh_key"`
	MTU         int    `json:"mtu"`
	SSHHostKey  string `json:"ssh_host_key"`
	SSHHostCert string `json:"ssh_host_cert"`
	Mesh        Mesh   `json:"mesh"`
}

const configVersion = 1

// EncodeConfig gives the bytes of ConfigFile.
func EncodeConfig(c Config) ([]byte, error) {
	c.Version = configVersion
	out, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode guest config: %w", err)
	}
	if len(out) > MaxConfig {
		return nil, fmt.Errorf("guest config has %d bytes; at most %d fit", len(out), MaxConfig)
	}
	return out, nil
}

// DecodeConfig reads ConfigFile.
func DecodeConfig(data []byte) (Config, error) {
	var c Config
	if len(data) > MaxConfig {
		return c, fmt.Errorf("guest config has %d bytes; at most %d are accepted", len(data), MaxConfig)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("decode guest config: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("decode guest config: data after its end")
	}
	switch {
	case c.Version != configVersion:
		return Config{}, fmt.Errorf("guest config version %d; this agent knows %d", c.Version, configVersion)
	case len(c.ProofKey) != 32:
		return Config{}, fmt.Errorf("guest config's proof key has %d bytes, want 32", len(c.ProofKey))
	case c.VMID == "" || c.ChainID == "" || c.Seq == 0:
		return Config{}, errors.New("guest config lacks chain, VM or instance")
	}
	return c, nil
}
