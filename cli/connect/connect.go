// Package connect joins a tenant to its network: package tenant asks for chain,
// keepers and certificates by interfaces of its own, and is given here the chain's
// client, connections by internal/peer and the mesh's authorities.
package connect

import (
	"context"
	"errors"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/tenant"
)

// NewReader asks the chain for the account of an address.
func NewReader(c *client.Client, address string, now func() time.Time) *tenant.Reader {
	return tenant.NewReader(address, chain{c}, now)
}

// Config of a tenant's client for the account of a wallet, which sender sends for.
func Config(c *client.Client, sender tenant.Sender, w tenant.Wallet, k tenant.Keepers, now func() time.Time) tenant.Config {
	return tenant.Config{
		ChainID: c.ChainID(), Chain: chain{c}, Sender: sender, Wallet: w, Keepers: k, Certificates: Certificates{}, Now: now,
	}
}

// chain is the chain's client in a tenant's words.
type chain struct{ *client.Client }

// Tenant implements tenant.Records.
func (c chain) Tenant(ctx context.Context, owner string) (mesh.Tenant, bool, error) {
	return found(c.Client.Tenant(ctx, owner))
}

// VMByName implements tenant.Records.
func (c chain) VMByName(ctx context.Context, owner, name string) (vm.VM, bool, error) {
	return found(c.Client.VMByName(ctx, owner, name))
}

func found[T any](v T, err error) (T, bool, error) {
	if errors.Is(err, client.ErrNotFound) {
		return v, false, nil
	}
	return v, err == nil, err
}
