package client

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
)

const (
	// maxProfile bounds a profile file, in bytes.
	maxProfile   = 64 << 10
	maxEndpoints = 32
	maxChainID   = 50
)

// Network is a network's profile: what a program needs to know to find the chain. Everything else is on chain.
type Network struct {
	// Name people call it by, e.g. "devnet".
	Name string `json:"name"`
	// ChainID is part of everything signed for this network.
	ChainID string `json:"chain_id"`
	// GenesisHash is the SHA-256 of the genesis file in hex: for those who start a node, and compared with what nodes say before
	// anything is signed. Of a profile without it only the chain id is compared.
	GenesisHash string `json:"genesis_hash"`
	// GRPC are chain nodes: one's own are tried in this order, others' are asked at once.
	GRPC []Endpoint `json:"grpc"`
	// OnRamp is the URL where credits are bought; empty for none. Plain HTTP only on loopback.
	OnRamp string `json:"on_ramp,omitempty"`
}

// Endpoint of a chain node.
type Endpoint struct {
	// Address is host:port.
	Address string `json:"address"`
	// Identity is the node's Ed25519 key in hex, which it must prove.
	Identity string `json:"identity,omitempty"`
	// Plain says that the connection is not encrypted, which only a loopback address may be.
	Plain bool `json:"plain,omitempty"`
	// Trusted says that the node is one's own, as those on a loopback address are: its word is enough. Of a profile without
	// such a node, what more than half of its nodes say counts.
	Trusted bool `json:"trusted,omitempty"`
}

// own tells whether the node's word is enough.
func (e Endpoint) own() bool {
	host, _, err := net.SplitHostPort(e.Address)
	return e.Trusted || err == nil && loopback(host)
}

// LoadNetwork reads and checks a profile file.
func LoadNetwork(path string) (Network, error) {
	f, err := os.Open(path)
	if err != nil {
		return Network{}, fmt.Errorf("network profile: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err != nil {
		return Network{}, fmt.Errorf("network profile %s: %w", path, err)
	}
	n, err := ParseNetwork(data)
	if err != nil {
		return Network{}, fmt.Errorf("network profile %s: %w", path, err)
	}
	return n, nil
}

// ParseNetwork reads and checks a profile; an unknown field is an error.
func ParseNetwork(data []byte) (Network, error) {
	var n Network
	if len(data) > maxProfile {
		return n, fmt.Errorf("it has more than %d bytes", maxProfile)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return Network{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Network{}, errors.New("data after its end")
	}
	return n, n.Validate()
}

// Encode gives the profile's file form.
func (n Network) Encode() ([]byte, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode network profile: %w", err)
	}
	return append(out, '\n'), nil
}

// Validate says what is wrong with a profile, or nil.
func (n Network) Validate() error {
	switch {
	case n.ChainID == "" || len(n.ChainID) > maxChainID:
		return fmt.Errorf("chain_id: give 1 to %d characters", maxChainID)
	case len(n.Name) > maxChainID:
		return fmt.Errorf("name: at most %d characters", maxChainID)
	case len(n.GRPC) == 0 || len(n.GRPC) > maxEndpoints:
		return fmt.Errorf("grpc: give 1 to %d chain nodes", maxEndpoints)
	}
	if h, err := hex.DecodeString(n.GenesisHash); err != nil || len(h) != 32 && len(h) != 0 {
		return errors.New("genesis_hash: give 64 hex characters, or none")
	}
	for i, e := range n.GRPC {
		if err := e.validate(); err != nil {
			return fmt.Errorf("grpc[%d]: %w", i, err)
		}
	}
	if n.OnRamp != "" {
		if err := checkOnRamp(n.OnRamp); err != nil {
			return fmt.Errorf("on_ramp: %w", err)
		}
	}
	return nil
}

func (e Endpoint) validate() error {
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		return fmt.Errorf("address %.100q: want host:port", e.Address)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 || host == "" || len(host) > 253 {
		return fmt.Errorf("address %.100q: want host:port", e.Address)
	}
	if e.Plain {
		if e.Identity != "" {
			return errors.New("identity and plain exclude each other")
		}
		if !loopback(host) {
			return fmt.Errorf("address %.100q: plain is only for a loopback address; give the node's identity", e.Address)
		}
		return nil
	}
	if id, err := hex.DecodeString(e.Identity); err != nil || len(id) != 32 {
		return errors.New("identity: give the node's Ed25519 key, 64 hex characters")
	}
	return nil
}

func checkOnRamp(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("want https://host/path")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("want https, or http on a loopback address")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
