// Package client is how every program but the node itself speaks to the chain:
// queries, signed transactions, and following what changes. It links the plain
// generated types and a secp256k1 library, never the chain's own framework.
package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	rankingv1 "github.com/hippius/compute/api/chain/ranking/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	authv1beta1 "github.com/hippius/compute/api/cosmos/auth/v1beta1"
	bankv1beta1 "github.com/hippius/compute/api/cosmos/bank/v1beta1"
	cmtv1beta1 "github.com/hippius/compute/api/cosmos/base/tendermint/v1beta1"
	govv1 "github.com/hippius/compute/api/cosmos/gov/v1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	upgradev1beta1 "github.com/hippius/compute/api/cosmos/upgrade/v1beta1"
	chainv1 "github.com/hippius/compute/api/node/chain/v1"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
)

// Config of a Client. Network is required; everything else has a default.
type Config struct {
	Network Network
	// Key is the transport identity shown to the nodes; a new one when nil.
	Key ed25519.PrivateKey
	// Dial opens the connections to the nodes; by TCP when nil.
	Dial peer.Dialer
	// Poll is how often a transaction's inclusion is asked for (200 ms), at first four times as often.
	Poll time.Duration
	// Inclusion is how long to wait for a transaction to be in a block (1 min).
	Inclusion time.Duration
	// Call bounds one call to one endpoint before the next is tried (10 s).
	Call time.Duration
	// Gas limit of each transaction, which its fee is for; 0 for a bound by what is in it.
	Gas uint64
}

func (c Config) withDefaults() Config {
	if c.Poll <= 0 {
		c.Poll = 200 * time.Millisecond
	}
	if c.Inclusion <= 0 {
		c.Inclusion = time.Minute
	}
	if c.Call <= 0 {
		c.Call = 10 * time.Second
	}
	return c
}

// Client speaks to one network through any of its endpoints. It is safe for concurrent use.
type Client struct {
	set  Config
	conn *failover
	// asked is what answers questions, over the same connections.
	asked grpc.ClientConnInterface
	// genesisSeen: the nodes said that they are of the profile's genesis.
	genesisSeen atomic.Bool

	about       chainv1.ChainClient
	auth        authv1beta1.QueryClient
	bank        bankv1beta1.QueryClient
	node        cmtv1beta1.ServiceClient
	tx          txv1beta1.ServiceClient
	gov         govv1.QueryClient
	upgrade     upgradev1beta1.QueryClient
	compute     computev1.QueryClient
	credits     creditsv1.QueryClient
	marketplace marketplacev1.QueryClient
	mesh        meshv1.QueryClient
	ranking     rankingv1.QueryClient
	registry    registryv1.QueryClient
}

// New prepares a client without connecting; the first call does. Close it after use.
func New(set Config) (*Client, error) {
	set = set.withDefaults()
	if err := set.Network.Validate(); err != nil {
		return nil, err
	}
	if set.Key == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("make transport key: %w", err)
		}
		set.Key = key
	}
	conn, err := dialAll(set)
	if err != nil {
		return nil, err
	}
	return newClient(set, conn), nil
}

// Over is New on connections made elsewhere, one for each endpoint of the network and in their order, such as to nodes
// in this process. The client closes them.
func Over(set Config, conns ...Conn) (*Client, error) {
	set = set.withDefaults()
	if err := set.Network.Validate(); err != nil {
		return nil, err
	}
	if len(conns) != len(set.Network.GRPC) {
		return nil, fmt.Errorf("%d connections to the network's %d endpoints", len(conns), len(set.Network.GRPC))
	}
	f := &failover{call: set.Call, counted: &counted{}}
	for i, c := range conns {
		f.ends = append(f.ends, end{name: set.Network.GRPC[i].Address, conn: c})
	}
	return newClient(set, f), nil
}

func newClient(set Config, ends *failover) *Client {
	return clientOn(set, ends, ends.asked(set.Network))
}

// clientOn asks its questions over a connection.
func clientOn(set Config, ends *failover, conn grpc.ClientConnInterface) *Client {
	return &Client{
		set: set, conn: ends, asked: conn,
		about:       chainv1.NewChainClient(conn),
		auth:        authv1beta1.NewQueryClient(conn),
		bank:        bankv1beta1.NewQueryClient(conn),
		node:        cmtv1beta1.NewServiceClient(conn),
		tx:          txv1beta1.NewServiceClient(conn),
		gov:         govv1.NewQueryClient(conn),
		upgrade:     upgradev1beta1.NewQueryClient(conn),
		compute:     computev1.NewQueryClient(conn),
		credits:     creditsv1.NewQueryClient(conn),
		marketplace: marketplacev1.NewQueryClient(conn),
		mesh:        meshv1.NewQueryClient(conn),
		ranking:     rankingv1.NewQueryClient(conn),
		registry:    registryv1.NewQueryClient(conn),
	}
}

// Close ends all connections; calls under way fail.
func (c *Client) Close() error { return c.conn.Close() }

// ChainID of the network.
func (c *Client) ChainID() string { return c.set.Network.ChainID }

// Network is the profile the client was made from.
func (c *Client) Network() Network { return c.set.Network }

// Check asks every endpoint which chain it is of, and for the profile's genesis hash. Of endpoints whose agreement counts, more than half must be of this chain.
// Of fewer, or one's own, it fails if one is of another chain, or none answers.
func (c *Client) Check(ctx context.Context) error {
	var down, wrong []error
	for _, one := range c.each() {
		info, err := one.node.GetNodeInfo(ctx, &cmtv1beta1.GetNodeInfoRequest{})
		if err != nil {
			down = append(down, queryError("chain "+c.ChainID(), err))
			continue
		}
		if got := info.GetDefaultNodeInfo().GetNetwork(); got != c.ChainID() {
			wrong = append(wrong, fmt.Errorf("chain node %s is of chain %.60q, not %q", one.conn.ends[0].name, got, c.ChainID()))
		}
	}
	all := len(c.conn.ends)
	switch bad := len(down) + len(wrong); {
	case c.Voters() >= manyNodes && bad <= (all-1)/2:
		return c.sameGenesis(ctx)
	case len(wrong) > 0 || bad == all || c.Voters() >= manyNodes:
		return errors.Join(append(wrong, down...)...)
	}
	return c.sameGenesis(ctx)
}

// VMEverywhere asks for a VM of which something may be destroyed, and gives all that is said of it: what the nodes agree on if they are
// many enough, else what every endpoint that is asked says, in the order of the profile: one's own if there are any. It then fails unless all
// answer.
func (c *Client) VMEverywhere(ctx context.Context, id vm.ID) ([]vm.VM, error) {
	ends := c.conn.ends
	switch by := c.asked.(type) {
	case *agreement:
		if len(by.ends) >= manyNodes {
			v, err := c.VM(ctx, id)
			return []vm.VM{v}, err
		}
	case *failover:
		ends = by.ends
	}
	vms := make([]vm.VM, 0, len(ends))
	for _, e := range ends {
		v, err := c.only(e).VM(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("chain node %s: %w", e.name, err)
		}
		vms = append(vms, v)
	}
	return vms, nil
}

// Voters tells how many nodes must agree, by a majority, on the answer to a question; 0 if one of one's own answers alone, 1 if there
// is but one, which is believed.
func (c *Client) Voters() int {
	switch by := c.asked.(type) {
	case *agreement:
		return len(by.ends)
	case *failover:
		if by == c.conn {
			return 1
		}
	}
	return 0
}

// VMAnywhere asks every endpoint for a VM, and gives what those say that know it, in the order of the profile. It fails if one
// does not answer; that one does not know the VM is an answer.
func (c *Client) VMAnywhere(ctx context.Context, id vm.ID) ([]vm.VM, error) {
	var vms []vm.VM
	for _, one := range c.each() {
		v, err := one.VM(ctx, id)
		switch {
		case err == nil:
			vms = append(vms, v)
		case !errors.Is(err, ErrNotFound):
			return nil, fmt.Errorf("chain node %s: %w", one.conn.ends[0].name, err)
		}
	}
	return vms, nil
}

// only asks one endpoint, over this client's connection to it.
func (c *Client) only(e end) *Client {
	f := &failover{ends: []end{e}, call: c.conn.call, counted: c.conn.counted}
	return clientOn(c.set, f, f)
}

// each gives one client for each endpoint; they share this one's connections.
func (c *Client) each() []*Client {
	out := make([]*Client, len(c.conn.ends))
	for i := range c.conn.ends {
		out[i] = c.only(c.conn.ends[i])
	}
	return out
}
