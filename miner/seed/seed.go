package seed

import (
	"bytes"
	"fmt"
	"strings"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
)

// Seed is what goes on a VM's own CD.
type Seed struct {
	VMID vm.ID
	// Name of the VM, from which its hostname follows.
	Name string
	// AuthorizedKeys are lines of authorized_keys, at least one.
	AuthorizedKeys []string
	Network        Network
	Apps           []App
	// UserData of the tenant, anything cloud-init takes; empty for none.
	UserData []byte
	// Guest is the agent's configuration. Build sets its hostname.
	Guest wire.Config
}

// MaxBytes bounds a seed's image.
const MaxBytes = 2 << 20

// Bounds of a seed beside those of its parts.
const (
	maxKeys    = 64
	maxKeyLine = 16 << 10
	maxApps    = 32
)

// Build gives the seed's ISO image. It holds secrets.
func Build(s Seed) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("seed of VM %.40s: %w", s.VMID, err)
	}
	files, err := s.files()
	if err != nil {
		return nil, fmt.Errorf("seed of VM %s: %w", s.VMID, err)
	}
	var b bytes.Buffer
	if err := WriteISO(&b, wire.SeedLabel, files); err != nil {
		return nil, fmt.Errorf("seed of VM %s: %w", s.VMID, err)
	}
	if b.Len() > MaxBytes {
		return nil, fmt.Errorf("seed of VM %s: the image has %d bytes; at most %d are put on a CD", s.VMID, b.Len(), MaxBytes)
	}
	return b.Bytes(), nil
}

func (s Seed) check() error {
	if _, err := vm.ParseID(string(s.VMID)); err != nil { // it names the file, too
		return err
	}
	if n := len(s.AuthorizedKeys); n == 0 || n > maxKeys {
		return fmt.Errorf("%d SSH keys; want 1 to %d", n, maxKeys)
	}
	for _, k := range s.AuthorizedKeys {
		if len(k) > maxKeyLine || strings.ContainsAny(k, "\r\n\x00") {
			return fmt.Errorf("SSH key %.40q is no line of at most %d bytes", k, maxKeyLine)
		}
	}
	if len(s.Apps) > maxApps {
		return fmt.Errorf("%d applications; at most %d", len(s.Apps), maxApps)
	}
	if err := s.Network.check(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

func (s Seed) files() ([]File, error) {
	hostname := Hostname(s.Name)
	meta, err := encode("", metaData{InstanceID: string(s.VMID), LocalHostname: hostname})
	if err != nil {
		return nil, fmt.Errorf("meta-data: %w", err)
	}
	net, err := encode("", s.Network.config())
	if err != nil {
		return nil, fmt.Errorf("network-config: %w", err)
	}
	base, err := encode(cloudConfigHead, baseConfig(s.AuthorizedKeys))
	if err != nil {
		return nil, fmt.Errorf("user-data: %w", err)
	}
	user, err := userData(base, s.Apps, s.UserData)
	if err != nil {
		return nil, err
	}
	s.Guest.Hostname = hostname
	agent, err := wire.EncodeConfig(s.Guest)
	if err != nil {
		return nil, err
	}
	return []File{
		{Name: "meta-data", Data: meta},
		{Name: "network-config", Data: net},
		{Name: "user-data", Data: user},
		{Name: wire.ConfigFile, Data: agent},
	}, nil
}

const maxHostname = 63

// Hostname makes a VM's name one label of a host name: lower-case letters,
// digits and inner hyphens, "vm" if nothing is left.
func Hostname(name string) string {
	h := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, name)
	h = strings.Trim(h[:min(len(h), maxHostname)], "-")
	if h == "" {
		return "vm"
	}
	return h
}
