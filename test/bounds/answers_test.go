package bounds

import (
	"testing"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/chain/node"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshkeeper "github.com/hippius/compute/chain/x/mesh/keeper"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

const (
	// maxKeys of an account, by the highest that the parameter may be.
	maxKeys = 200
	// minersPage bounds a page of miners.
	minersPage = 500
)

// What is declared by the queries' pages and the records' bounds is respected by the client, and by the gas that a node spends on a query.
func TestAnswers(t *testing.T) {
	withReceipts, without := sizeOf(largestVM(computetypes.MaxReceipts)), sizeOf(largestVM(0))
	lighthouses := meshtypes.MaxLighthouses * (sizeOf(lighthouse()) + 8)
	check(t, []pair{
		{"a page of tenants with the most revocations", meshkeeper.MaxPageBytes + sizeOf(tenantOf()), client.MaxAnswer},
		{"a page of VMs with the largest VM", computekeeper.MaxPageBytes + withReceipts, client.MaxAnswer},
		{"a page of a miner's VMs with the largest VM and all that were released", computekeeper.MaxPageBytes + without + computekeeper.MaxReleased*(2*vm.IDSize+2), client.MaxAnswer},
		{"all lighthouses", lighthouses, client.MaxAnswer},
		{"a page of miners", minersPage * (sizeOf(minerOf()) + 8), client.MaxAnswer},
		{"a committee", committee.MaxSeats * (sizeOf(keeperOf()) + 8), client.MaxAnswer},
		{"an account's SSH keys", maxKeys * (sshkey.MaxLine + 256), client.MaxAnswer},
		{"all plans", markettypes.MaxEntries * (sizeOf(priced()) + 8), client.MaxAnswer},
		{"all images", markettypes.MaxEntries * (sizeOf(new(image())) + 8), client.MaxAnswer},
		{"all applications", markettypes.MaxEntries * (sizeOf(new(recipe())) + 8), client.MaxAnswer},

		{"VMs that a client asks for on a page", client.PageSize, computekeeper.MaxVMPage},
		{"tenants that a client asks for on a page", client.TenantsPage, meshkeeper.MaxPage},
		{"lighthouses in a list", meshtypes.MaxLighthouses, client.MaxListed},
		{"an account's SSH keys in a list", maxKeys, client.MaxListed},
		{"entries of the catalogue in a list", markettypes.MaxEntries, client.MaxListed},
		{"miners excluded for a VM", computekeeper.MaxExcluded, client.MaxExcluded},

		{"reading a page of tenants", node.ReadGas(meshkeeper.MaxPageBytes+sizeOf(tenantOf()), meshkeeper.MaxPage), node.QueryGas},
		{"reading a page of VMs, an owner's or a miner's", node.ReadGas(computekeeper.MaxPageBytes+withReceipts, (computekeeper.MaxPageBytes+withReceipts)/sizeOf(&instances()[0])), node.QueryGas},
		{"reading all lighthouses", node.ReadGas(lighthouses, meshtypes.MaxLighthouses), node.QueryGas},
		{"reading all applications", node.ReadGas(markettypes.MaxEntries*sizeOf(new(recipe())), markettypes.MaxEntries), node.QueryGas},
	})
}
