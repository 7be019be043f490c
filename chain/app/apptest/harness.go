// Package apptest runs the chain block by block inside a test, under a clock
// the test holds and without consensus, and checks every module's invariants after
// each block.
package apptest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/hippius/compute/chain/app"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// ChainID of every harness.
const ChainID = "hippius-test-1"

// Upgrade is one that every harness knows and that by itself changes nothing.
const Upgrade = "rehearsal"

// Start is the time of the genesis, unix seconds; a whole hour.
const Start = 1_800_000_000

// Options of a harness; the zero value is one validator and nobody else.
type Options struct {
	// Accounts to exist from the start, by name.
	Accounts []Funds
	// Genesis may change what the network starts from.
	Genesis func(*app.Genesis)
	// Validators there are; 1 if less. Operator(i) is the account of the i-th.
	Validators int
	// Stakes of the validators in uhip, in their order; 1 000 000 000 for those not given.
	Stakes []uint64
	// Logs shows the chain's log in the test's output.
	Logs bool
	// Broken turns off the check of the modules' invariants after each block, for tests that break them.
	Broken bool
}

// Funds of an account.
type Funds struct {
	Name          string
	Uhip, Ucredit uint64
}

// Harness is one chain.
type Harness struct {
	App *app.App

	t         testing.TB
	votes     []abci.VoteInfo
	now       time.Time
	broken    bool
	sequences map[string]uint64
	last      *abci.ResponseFinalizeBlock
	took      time.Duration
	// height of the last block; 0 before the first of this harness.
	height int64
	// first is the height of the first block if that is not 1.
	first int64
}

// New starts a chain and runs its first block, at Start.
func New(t testing.TB, o Options) *Harness {
	t.Helper()
	app.Configure()
	logger := log.NewNopLogger()
	if o.Logs {
		logger = log.NewTestLogger(t)
	}
	a, err := app.New(app.Options{Logger: logger, DB: dbm.NewMemDB(), ChainID: ChainID, BaseApp: app.Briefly(), Upgrades: []app.Upgrade{{Name: Upgrade}}})
	if err != nil {
		t.Fatal(err)
	}
	h := &Harness{App: a, t: t, now: time.Unix(Start, 0).UTC(), broken: o.Broken, sequences: map[string]uint64{}}
	g := app.Genesis{ChainID: ChainID, Time: h.now}
	for i := range max(o.Validators, 1) {
		v, stake := Operator(i), uint64(1_000_000_000)
		if i < len(o.Stakes) {
			stake = o.Stakes[i]
		}
		g.Validators = append(g.Validators, app.GenesisValidator{Name: v.Name, Operator: v.Address, ConsensusKey: consensusKey(i), StakeUhip: stake})
	}
	for _, f := range o.Accounts {
		g.Accounts = append(g.Accounts, app.GenesisAccount{Address: Named(f.Name).Address, Uhip: f.Uhip, Ucredit: f.Ucredit})
	}
	if o.Genesis != nil {
		o.Genesis(&g)
	}
	doc, err := g.Build()
	if err != nil {
		t.Fatal(err)
	}
	h.initChain(doc, g.Validators)
	h.block(0)
	return h
}

// initChain feeds the genesis document to the application.
func (h *Harness) initChain(doc []byte, validators []app.GenesisValidator) {
	h.t.Helper()
	d, err := genutiltypes.AppGenesisFromReader(bytes.NewReader(doc))
	if err != nil {
		h.t.Fatal(err)
	}
	params := d.Consensus.Params.ToProto()
	res, err := h.App.InitChain(&abci.RequestInitChain{
		ChainId: ChainID, Time: h.now, InitialHeight: 1, AppStateBytes: d.AppState, ConsensusParams: &params,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if len(res.Validators) != len(validators) {
		h.t.Fatalf("the chain starts with %d validators, want %d", len(res.Validators), len(validators))
	}
	for i, v := range validators {
		h.votes = append(h.votes, abci.VoteInfo{
			Validator:   abci.Validator{Address: consensusAddress(i), Power: int64(v.StakeUhip / sdk.DefaultPowerReduction.Uint64())},
			BlockIdFlag: cmtproto.BlockIDFlagCommit,
		})
	}
}

// NextBlock lets seconds pass and runs a block without transactions.
func (h *Harness) NextBlock(seconds int64) *abci.ResponseFinalizeBlock {
	h.t.Helper()
	return h.block(seconds)
}

// Run lets seconds pass in blocks of step seconds.
func (h *Harness) Run(seconds, step int64) {
	h.t.Helper()
	for seconds > 0 {
		d := min(step, seconds)
		h.block(d)
		seconds -= d
	}
}

// block runs one block with the transactions and commits it.
func (h *Harness) block(seconds int64, txs ...[]byte) *abci.ResponseFinalizeBlock {
	h.t.Helper()
	h.now = h.now.Add(time.Duration(seconds) * time.Second)
	height := max(h.Height()+1, h.first)
	start, cpu := time.Now(), cpuTime()
	res, err := h.App.FinalizeBlock(&abci.RequestFinalizeBlock{
		Height: height, Time: h.now, Hash: BlockHash(height), Txs: txs, ProposerAddress: h.votes[0].Validator.Address,
		DecidedLastCommit: abci.CommitInfo{Votes: h.votes},
	})
	if err != nil {
		h.t.Fatalf("block %d: %v", height, err)
	}
	if _, err := h.App.Commit(); err != nil {
		h.t.Fatalf("commit block %d: %v", height, err)
	}
	h.last, h.took, h.height = res, min(time.Since(start), cpuTime()-cpu), height
	h.checkEvents(height)
	if !h.broken {
		if err := h.App.CheckInvariants(h.Ctx()); err != nil {
			h.t.Fatalf("after block %d: %v", height, err)
		}
	}
	return res
}

// checkEvents wants codes, names and numbers in the events of our modules, and no words, which a newer version may phrase differently.
func (h *Harness) checkEvents(height int64) {
	h.t.Helper()
	all := slices.Clone(h.last.Events)
	for _, r := range h.last.TxResults {
		all = append(all, r.Events...)
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Type, "hippius.") {
			continue
		}
		for _, a := range e.Attributes {
			if strings.Contains(a.Value, " ") && a.Key != creditstypes.AttributeReference {
				h.t.Fatalf("block %d: event %s has the words %q as its %s", height, e.Type, a.Value, a.Key)
			}
		}
	}
}

// BlockHash is the hash of the block at a height.
func BlockHash(height int64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("block"), uint64(height)))
	return sum[:]
}

// Ctx reads the state after the last block. What is written through it is part
// of the next block, as if another module had done it.
func (h *Harness) Ctx() sdk.Context {
	height := h.Height()
	//nolint:staticcheck // the others write to a copy
	return h.App.NewUncachedContext(false, cmtproto.Header{ChainID: ChainID, Height: height, Time: h.now}).
		WithHeaderHash(BlockHash(height))
}

// Break turns off the check of the modules' invariants from here on, for tests that break them.
func (h *Harness) Break() { h.broken = true }

// Store is a module's store as Ctx sees it, for tests that write what no message would.
func (h *Harness) Store(module string) storetypes.KVStore {
	h.t.Helper()
	return h.storeOf(h.Ctx(), module)
}

func (h *Harness) storeOf(ctx sdk.Context, module string) storetypes.KVStore {
	h.t.Helper()
	byName, ok := h.App.CommitMultiStore().(interface {
		StoreKeysByName() map[string]storetypes.StoreKey
	})
	if !ok {
		h.t.Fatalf("%T does not name its stores", h.App.CommitMultiStore())
	}
	return ctx.KVStore(byName.StoreKeysByName()[module])
}

// Now is the time of the last block, unix seconds.
func (h *Harness) Now() int64 { return h.now.Unix() }

// Height of the last block.
func (h *Harness) Height() int64 {
	if h.height > 0 {
		return h.height // the application computes a hash of all its stores to say it
	}
	return h.App.LastBlockHeight()
}

// Last is the outcome of the last block.
func (h *Harness) Last() *abci.ResponseFinalizeBlock { return h.last }

// Took is the time in which the last block was executed and committed, or the process's CPU time if that is less: so neither what
// others do on the host counts, nor what the process does beside it.
func (h *Harness) Took() time.Duration { return h.took }

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail for this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Events of a type in the last block, transactions included, each as its attributes.
func (h *Harness) Events(kind string) []map[string]string {
	all := h.last.Events
	for _, tx := range h.last.TxResults {
		all = append(all, tx.Events...)
	}
	var out []map[string]string
	for _, e := range all {
		if e.Type != kind {
			continue
		}
		attrs := make(map[string]string, len(e.Attributes))
		for _, a := range e.Attributes {
			attrs[a.Key] = a.Value
		}
		out = append(out, attrs)
	}
	return out
}

// String names the harness in a failure.
func (h *Harness) String() string { return fmt.Sprintf("block %d at %d", h.Height(), h.Now()) }
