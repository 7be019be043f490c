package seed

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"gopkg.in/yaml.v3"
)

// Network is the one interface of a guest, towards its miner.
type Network struct {
	// MAC by which the guest finds the interface.
	MAC string
	// Address with its prefix length, a /30 whose other end is Gateway.
	Address netip.Prefix
	Gateway netip.Addr
	DNS     []netip.Addr
	// MTU in bytes; 0 leaves it.
	MTU int
}

// interfaceName in the guest.
const interfaceName = "eth0"

func (n Network) check() error {
	if _, err := net.ParseMAC(n.MAC); err != nil {
		return fmt.Errorf("MAC: %w", err)
	}
	switch {
	case !n.Address.IsValid() || !n.Gateway.IsValid():
		return errors.New("address or gateway is missing")
	case !n.Address.Masked().Contains(n.Gateway):
		return fmt.Errorf("gateway %s is outside of %s", n.Gateway, n.Address.Masked())
	case len(n.DNS) > 8:
		return fmt.Errorf("%d name servers; at most 8", len(n.DNS))
	}
	return nil
}

// networkConfig is NoCloud's network-config, version 2.
type networkConfig struct {
	Version   int                 `yaml:"version"`
	Ethernets map[string]ethernet `yaml:"ethernets"`
}

type ethernet struct {
	Match struct {
		// Quoted always: some YAML readers take a MAC of digits for a number.
		MAC quoted `yaml:"macaddress"`
	} `yaml:"match"`
	SetName     string       `yaml:"set-name"`
	MTU         int          `yaml:"mtu,omitempty"`
	DHCP4       bool         `yaml:"dhcp4"`
	DHCP6       bool         `yaml:"dhcp6"`
	AcceptRA    bool         `yaml:"accept-ra"`
	Addresses   []string     `yaml:"addresses"`
	Gateway4    string       `yaml:"gateway4"`
	Nameservers *nameservers `yaml:"nameservers,omitempty"`
}

type nameservers struct {
	Addresses []string `yaml:"addresses"`
}

// quoted is a string that is always written in double quotes.
type quoted string

// MarshalYAML implements yaml.Marshaler.
func (q quoted) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: string(q)}, nil
}

func (n Network) config() networkConfig {
	e := ethernet{
		SetName: interfaceName, MTU: n.MTU,
		Addresses: []string{n.Address.String()}, Gateway4: n.Gateway.String(),
	}
	e.Match.MAC = quoted(n.MAC)
	if len(n.DNS) > 0 {
		e.Nameservers = &nameservers{}
		for _, a := range n.DNS {
			e.Nameservers.Addresses = append(e.Nameservers.Addresses, a.String())
		}
	}
	return networkConfig{Version: 2, Ethernets: map[string]ethernet{interfaceName: e}}
}
