package node

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/blocksync"
	cfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/mempool"
	cometnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	"github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/prometheus/client_golang/prometheus"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/entry"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/internal/observe"
)

// cometNamespace begins the names of CometBFT's own metrics.
const cometNamespace = "cometbft"

// registering guards prometheus.DefaultRegisterer while CometBFT makes its metrics: it knows no other place for them,
// and two nodes of one process would clash there.
var registering sync.Mutex //nolint:gochecknoglobals // guards a global

// cometMetrics makes CometBFT's metrics in a registry.
func cometMetrics(to prometheus.Registerer) cometnode.MetricsProvider {
	make1 := cometnode.DefaultMetricsProvider(&cfg.InstrumentationConfig{Prometheus: true, Namespace: cometNamespace})
	return func(chainID string) (*consensus.Metrics, *p2p.Metrics, *mempool.Metrics, *state.Metrics, *proxy.Metrics, *blocksync.Metrics, *statesync.Metrics) {
		registering.Lock()
		defer registering.Unlock()
		defer func(was prometheus.Registerer) { prometheus.DefaultRegisterer = was }(prometheus.DefaultRegisterer)
		prometheus.DefaultRegisterer = to
		return make1(chainID)
	}
}

// counted is what a node counts of the blocks it executed since its start.
type counted struct {
	ok, failed atomic.Uint64

	mu sync.Mutex
	// phases that VMs came to, and entries whose work at a block's begin or end failed, by module.
	phases, entries map[string]float64
	lastTime        float64
}

// block counts a block's transactions and the VMs that came to another phase in it.
func (c *counted) block(req *abci.RequestFinalizeBlock, res *abci.ResponseFinalizeBlock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastTime = observe.Timestamp(req.Time)
	events := slices.Clone(res.Events)
	for _, tx := range res.TxResults {
		if tx.Code != abci.CodeTypeOK {
			c.failed.Add(1)
			continue
		}
		c.ok.Add(1)
		events = append(events, tx.Events...)
	}
	for _, e := range events {
		switch e.Type {
		case computetypes.EventVMPhase:
			count(c.phases, e, computetypes.AttributePhase)
		case entry.EventFailed:
			count(c.entries, e, entry.AttributeModule)
		}
	}
}

// noEntries has every module that may leave out an entry, so that the first one is a rise.
func noEntries() map[string]float64 {
	return map[string]float64{computetypes.ModuleName: 0, meshtypes.ModuleName: 0, registrytypes.ModuleName: 0}
}

// count counts an event under the value of an attribute.
func count(in map[string]float64, e abci.Event, attribute string) {
	for _, a := range e.Attributes {
		if a.Key == attribute {
			in[a.Value]++
		}
	}
}

func (c *counted) of(counts map[string]float64) func() map[string]float64 {
	return func() map[string]float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return maps.Clone(counts)
	}
}

func (c *counted) blockTime() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastTime
}

// figures registers what an operator is shown beside CometBFT's metrics.
func (n *Node) figures(o *observe.Observer) {
	o.Gauge("hippiusd_height", "Last block the node has executed.", func() float64 { return float64(n.Height()) })
	o.Gauge("hippiusd_block_timestamp_seconds", "Time of the last block executed since the start; 0 for none.", n.counted.blockTime)
	o.Gauge("hippiusd_syncing", "1 while the node catches up with the network.", func() float64 { return observe.Flag(n.comet.ConsensusReactor().WaitSync()) })
	o.Gauge("hippiusd_peers", "Nodes it is connected to.", func() float64 { return float64(n.comet.Switch().Peers().Size()) })
	o.Gauge("hippiusd_mempool_transactions", "Transactions that wait for a block.", func() float64 { return float64(n.comet.Mempool().Size()) })
	o.Counters("hippiusd_transactions_total", "Transactions in the blocks executed since the start, by result.", "result", func() map[string]float64 {
		return map[string]float64{"ok": float64(n.counted.ok.Load()), "failed": float64(n.counted.failed.Load())}
	})
	o.Counters("hippiusd_vm_phases_total", "VMs that came to a phase in the blocks executed since the start.", "phase", n.counted.of(n.counted.phases))
	o.Counters("hippiusd_entries_failed_total", "Entries whose work at the begin or end of a block failed and was left out, since the start, by module; see the log.", "module", n.counted.of(n.counted.entries))
	o.Gauges("hippiusd_credits", "Totals of credits and of the coins behind them, by kind.", "kind", n.credits)
	o.Gauge("hippiusd_app_version", "Version of the chain's application; each upgrade raises it.", func() float64 {
		return float64(n.app.AppVersion())
	})
	o.Gauge("hippiusd_upgrade_height", "Height of the next upgrade that governance has decided; 0 for none.", n.upgradeHeight)
}

// credits reads x/credits' books at the last height.
func (n *Node) credits() map[string]float64 {
	ctx, err := n.app.CreateQueryContext(0, false)
	if err != nil {
		n.read("credits", 0, err)
		return nil
	}
	t, err := n.app.Keepers.Credits.Totals(ctx)
	if err != nil {
		n.read("credits", 0, err)
		return nil
	}
	return map[string]float64{
		"bought_ucredit": float64(t.BoughtUcredit), "consumed_ucredit": float64(t.ConsumedUcredit), "reserve_uhip": float64(t.ReserveUhip),
		"buffer_uhip": float64(t.BufferUhip),
	}
}

func (n *Node) upgradeHeight() float64 {
	ctx, err := n.app.CreateQueryContext(0, false)
	if err != nil {
		return n.read("upgrade plan", 0, err)
	}
	plan, err := n.app.Keepers.Upgrade.GetUpgradePlan(ctx)
	if errors.Is(err, upgradetypes.ErrNoUpgradePlanFound) {
		return 0
	}
	return n.read("upgrade plan", float64(plan.Height), err)
}

// read logs why a figure could not be read; before the first block nothing can.
func (n *Node) read(what string, figure float64, err error) float64 {
	if err != nil {
		n.log.Debug("read metric", "metric", what, "error", err)
		return 0
	}
	return figure
}
