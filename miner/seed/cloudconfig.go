package seed

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"

	wire "github.com/hippius/compute/core/guest"
)

// cloudConfig is what every guest gets. The tiny guest reads only the lists of
// keys and does the rest by itself.
type cloudConfig struct {
	// Users names no "default": the distribution's own user stays away.
	Users       []user `yaml:"users"`
	DisableRoot bool   `yaml:"disable_root"`
	SSHPwauth   bool   `yaml:"ssh_pwauth"`
	// SSHGenkeytypes of the first boot; the agent brings the instance's own key.
	SSHGenkeytypes []string `yaml:"ssh_genkeytypes"`
	// Updates: a VM that moves to another host keeps its id, not its network.
	Updates struct {
		Network struct {
			When []string `yaml:"when"`
		} `yaml:"network"`
	} `yaml:"updates"`
	// Bootcmd runs at each start, before sshd.
	Bootcmd []string `yaml:"bootcmd"`
}

type user struct {
	Name              string   `yaml:"name"`
	Gecos             string   `yaml:"gecos"`
	Groups            []string `yaml:"groups"`
	Shell             string   `yaml:"shell"`
	LockPasswd        bool     `yaml:"lock_passwd"`
	Sudo              string   `yaml:"sudo"`
	SSHAuthorizedKeys []quoted `yaml:"ssh_authorized_keys"`
}

// agentMount is where the guest mounts the agent's CD.
const agentMount = "/run/hippius/cd"

func baseConfig(keys []string) cloudConfig {
	u := user{
		Name: wire.User, Gecos: "Hippius", Groups: []string{"sudo"}, Shell: "/bin/bash",
		LockPasswd: true, Sudo: "ALL=(ALL) NOPASSWD:ALL",
	}
	for _, k := range keys {
		u.SSHAuthorizedKeys = append(u.SSHAuthorizedKeys, quoted(k))
	}
	device := "/dev/disk/by-label/" + wire.AgentLabel
	c := cloudConfig{
		Users: []user{u}, DisableRoot: true, SSHGenkeytypes: []string{"ed25519"},
		Bootcmd: []string{
			"mkdir -p " + agentMount,
			"mountpoint -q " + agentMount + " || mount -t iso9660 -o ro,nosuid,nodev " + device + " " + agentMount,
			"sh " + agentMount + "/" + wire.InstallFile,
		},
	}
	c.Updates.Network.When = []string{"boot-new-instance", "boot"}
	return c
}

// metaData is NoCloud's meta-data.
type metaData struct {
	// InstanceID is the VM's id for ever: under a new one cloud-init would do
	// its first-boot work again.
	InstanceID    string `yaml:"instance-id"`
	LocalHostname string `yaml:"local-hostname"`
}

func encode(head string, v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return b.Bytes(), nil
}
