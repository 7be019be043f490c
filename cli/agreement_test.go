package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hippius/compute/chain/client"
)

// Login says how far what nodes say can be checked.
func TestWarnOfFewNodes(t *testing.T) {
	t.Parallel()
	stranger := func(digit string) client.Endpoint {
		return client.Endpoint{Address: "203.0.113." + digit + ":26600", Identity: "0" + digit + "00000000000000000000000000000000000000000000000000000000000000"}
	}
	own := stranger("9")
	own.Trusted = true
	for want, nodes := range map[string][]client.Endpoint{
		"one chain node that is not yours": {stranger("1")},
		"two chain nodes":                  {stranger("1"), stranger("2")},
	} {
		require.Contains(t, warned(t, nodes), want)
	}
	for _, nodes := range [][]client.Endpoint{
		{stranger("1"), stranger("2"), stranger("3")}, {own}, {stranger("1"), own}, {{Address: "127.0.0.1:1", Plain: true}},
	} {
		require.Empty(t, warned(t, nodes))
	}
}

func warned(t *testing.T, nodes []client.Endpoint) string {
	t.Helper()
	cl, err := client.New(client.Config{Network: client.Network{ChainID: "c", GRPC: nodes}})
	require.NoError(t, err)
	defer func() { require.NoError(t, cl.Close()) }()
	var said bytes.Buffer
	c := &command{env: Env{Err: &said}}
	c.warnOfFew(cl)
	return said.String()
}
