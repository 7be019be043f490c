package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func goodNetwork() Network {
	return Network{
		Name: "devnet", ChainID: "hippius-devnet-1", GenesisHash: strings.Repeat("ab", 32), OnRamp: "http://127.0.0.1:8080",
		GRPC: []Endpoint{{Address: "127.0.0.1:9090", Plain: true}, {Address: "node.example:9090", Identity: strings.Repeat("01", 32)}},
	}
}

func TestNetworkFile(t *testing.T) {
	data, err := goodNetwork().Encode()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "network.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	got, err := LoadNetwork(path)
	require.NoError(t, err)
	require.Equal(t, goodNetwork(), got)

	for _, bad := range []string{"", "{}", string(data) + "x", strings.Replace(string(data), `"name"`, `"title"`, 1), strings.Repeat(" ", maxProfile+1)} {
		_, err := ParseNetwork([]byte(bad))
		require.Error(t, err, "%.60q", bad)
	}
}

func TestNetworkValidate(t *testing.T) {
	require.NoError(t, goodNetwork().Validate())
	for want, change := range map[string]func(*Network){
		"chain_id":               func(n *Network) { n.ChainID = "" },
		"name":                   func(n *Network) { n.Name = strings.Repeat("x", 51) },
		"genesis_hash":           func(n *Network) { n.GenesisHash = "abc" },
		"grpc: give":             func(n *Network) { n.GRPC = nil },
		"exclude each other":     func(n *Network) { n.GRPC[0].Identity = n.GRPC[1].Identity },
		"plain is only":          func(n *Network) { n.GRPC[1] = Endpoint{Address: "node.example:9090", Plain: true} },
		"want host:port":         func(n *Network) { n.GRPC[1].Address = "node.example" },
		"grpc[1]: address":       func(n *Network) { n.GRPC[1].Address = "node.example:0" },
		"identity: give":         func(n *Network) { n.GRPC[1].Identity = "" },
		"on_ramp: want https, o": func(n *Network) { n.OnRamp = "http://ramp.example" },
		"on_ramp: want https://": func(n *Network) { n.OnRamp = "https://user:secret@ramp.example" },
	} {
		n := goodNetwork()
		change(&n)
		require.ErrorContains(t, n.Validate(), want)
	}
}

func FuzzParseNetwork(f *testing.F) {
	data, err := goodNetwork().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseNetwork(data)
		if err != nil {
			return
		}
		if _, err := n.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}
