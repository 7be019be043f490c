package bounds

import (
	"strings"
	"testing"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/chain/node"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/instance"
	corenode "github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
	"github.com/hippius/compute/tenant"
)

// envelope is what a transaction has beside its message: signature, key, fee, type names.
const envelope = 1 << 10

// gasPerByte of a transaction, by x/auth's default.
const gasPerByte = 10

// pair of bounds: what is declared in one place, and where it has to fit in. Whoever adds a bound that another part relies on adds a
// row to the table of its subject.
type pair struct {
	what        string
	need, limit int
}

func check(t *testing.T, pairs []pair) {
	t.Helper()
	for _, c := range pairs {
		if c.need > c.limit {
			t.Errorf("%s takes %d; at most %d", c.what, c.need, c.limit)
		}
	}
}

// What is declared by the messages' bounds and the clients' gas is respected by the ante handler, the block and the node's gRPC.
func TestTransactions(t *testing.T) {
	free := computetypes.DefaultParams().ReportRules()
	check(t, []pair{
		{"the largest batch of reports in a transaction", sizeOf(reports()) + envelope, app.MaxTxBytes},
		{"the largest order of a VM in a transaction", sizeOf(order()) + envelope, app.MaxTxBytes},
		{"the most instances dealt at once in a transaction", sizeOf(&computetypes.MsgDealInstances{VmId: id(), Owner: address(), Instances: instances()}) + envelope, app.MaxTxBytes},
		{"the most revocations at once in a transaction", sizeOf(&meshtypes.MsgRevoke{Owner: address(), Fingerprints: many(meshtypes.MaxRevocationsPerMessage, make([]byte, meshtypes.FingerprintSize))}) + envelope, app.MaxTxBytes},
		{"the longest SSH key in a transaction", sizeOf(&computetypes.MsgAddSSHKey{Owner: address(), Name: name(), PublicKey: strings.Repeat("k", sshkey.MaxLine)}) + envelope, app.MaxTxBytes},
		{"the longest recipe in a transaction", sizeOf(&markettypes.MsgSetApp{Authority: address(), App: recipe()}) + envelope, app.MaxTxBytes},
		{"the largest image of the catalogue in a transaction", sizeOf(&markettypes.MsgSetImage{Authority: address(), Image: image()}) + envelope, app.MaxTxBytes},
		{"the largest lighthouse in a transaction", sizeOf(lighthouse()) + envelope, app.MaxTxBytes},
		{"the largest keeper in a transaction", sizeOf(&registrytypes.MsgRegisterKeeper{Operator: address(), Identity: make([]byte, 32), HpkeKey: make([]byte, 32), Endpoint: strings.Repeat("e", corenode.MaxEndpointLen), Name: name()}) + envelope, app.MaxTxBytes},
		{"a transaction's bytes in a block", app.MaxTxBytes, app.MaxBlockBytes},
		{"a transaction's bytes in its lane of a block", app.MaxTxBytes, app.MaxBlockBytes * app.LanePercent / 100},
		{"a transaction's bytes among what waits of its lane", app.MaxTxBytes, app.MaxWaitingBytes},
		{"a transaction in a request of a node", app.MaxTxBytes + envelope, node.MaxRequest},

		{"the gas of the largest batch of reports", int(client.ReportGas(vm.MaxReports)), app.MaxTxGas},
		{"the gas of a report in a batch, and of its bytes", computekeeper.MaxReportGas + gasPerByte*(sizeOf(reports())/vm.MaxReports+1), int(client.ReportGas(1) - client.ReportGas(0))},
		{"the gas of 95 000 VMs' reports, every 30 s, in their half of a block each second", 95_000 / vm.MaxReports * int(client.ReportGas(vm.MaxReports)), 30 * app.MaxBlockGas * app.LanePercent / 100},
		{"the gas of the largest order or deal", int(client.InstancesGas(computetypes.MaxInstances, computetypes.MaxReceipts)), app.MaxTxGas},
		{"the gas of the most revocations at once", int(client.FingerprintsGas(meshtypes.MaxRevocationsPerMessage)), app.MaxTxGas},
		{"a transaction's gas in its lane of a block", app.MaxTxGas, app.MaxBlockGas * app.LanePercent / 100},
		{"a transaction's gas in what a node tries for a caller at once", app.MaxTxGas, node.SimulateBurst},
		{"the gas of an empty batch of reports without a fee", int(client.ReportGas(0)), int(free.Gas)},
		{"the gas of the most reports without a fee of a miner that holds nothing", int(client.ReportGas(int(free.Spare))), int(free.Gas)},
		{"the gas of a batch of one report without a fee", int(client.ReportGas(1)), int(free.Gas + free.GasPerVM)},
		{"the gas of the largest batch of reports without a fee", int(client.ReportGas(vm.MaxReports)), int(free.Gas + free.GasPerVM*vm.MaxReports)},

		{"instances that a keeper takes at once in a message", instance.MaxDealt, computetypes.MaxInstances},
		{"instances in a message at a keeper", computetypes.MaxInstances, instance.MaxDealt},
		{"instances of a new VM", tenant.FirstDeal, instance.MaxDealt},
		{"instances ahead after more were dealt", tenant.TopUpBelow - 1 + tenant.FirstDeal, computekeeper.MaxAhead},
		{"instances of one message ahead", computetypes.MaxInstances, computekeeper.MaxAhead},
	})
}

// What things cost with the shipped parameters leaves what they are bought for.
func TestMoney(t *testing.T) {
	fees, market := creditstypes.DefaultParams(), markettypes.DefaultParams()
	fee := func(gas uint64, bytes int) int {
		u, err := fees.Fees().Of(gas, uint64(bytes+envelope))
		if err != nil {
			t.Fatal(err)
		}
		return int(u)
	}
	smallest, err := market.Prices().Quote(plan.Defaults()[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	ordered := fee(client.InstancesGas(tenant.FirstDeal, computetypes.MaxReceipts), sizeOf(order()))
	check(t, []pair{
		{"the fee of a purchase in the least purchase", fee(client.ReportGas(0), 0), int(fees.MinBuyUcredit)},
		{"the hold-back of a VM of the smallest plan, and the fee of its order, in what an account needs to create one", int(market.Holdback(smallest.Stopped)) + ordered, int(market.MinCreateUcredit)},
	})
}
