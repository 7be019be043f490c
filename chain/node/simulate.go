package node

import (
	"context"
	"net/netip"
	"sync"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/internal/peer"
)

// Bounds of trying transactions, in gas: of one block of client addresses and of all together, each second and at once. Identity
// keys cost nothing to make, so they are not what is bounded.
const (
	simulateGas      = 5_000_000
	simulateGasAll   = 25_000_000
	simulateBurst    = app.MaxTxGas
	simulateBurstAll = 2 * app.MaxTxGas
	// simulateLeast is what any call takes, for decoding and checking what may be no transaction.
	simulateLeast = 200_000
	// maxBlocks bounds how many address blocks are remembered; those beyond share one budget.
	maxBlocks = 4096
)

// simulations tries transactions within its callers' budgets. It is safe for concurrent use.
type simulations struct {
	txtypes.ServiceServer

	decode sdk.TxDecoder
	run    tryer
	now    func() time.Time
	all    *rate.Limiter

	mu     sync.Mutex
	blocks map[netip.Prefix]*rate.Limiter
	swept  time.Time
}

// tryer tries a transaction, and tells whether its checks passed.
type tryer func(raw []byte) (gas sdk.GasInfo, res *sdk.Result, executed bool, err error)

func newSimulations(s txtypes.ServiceServer, decode sdk.TxDecoder, try tryer) *simulations {
	return &simulations{
		ServiceServer: s, decode: decode, run: try, now: time.Now, all: rate.NewLimiter(simulateGasAll, simulateBurstAll),
		blocks: map[netip.Prefix]*rate.Limiter{},
	}
}

// Simulate tries a signed transaction with the gas limit it states, which the caller's budget must have. What the checks refuse, such
// as a wrong signature, takes no more of it than they used, at least simulateLeast.
func (s *simulations) Simulate(ctx context.Context, req *txtypes.SimulateRequest) (*txtypes.SimulateResponse, error) {
	raw := req.GetTxBytes()
	if len(raw) == 0 || len(raw) > app.MaxTxBytes {
		return nil, status.Errorf(codes.InvalidArgument, "tx_bytes has %d bytes; accepted are 1 to %d, of a signed transaction", len(raw), app.MaxTxBytes)
	}
	block := blockOf(ctx)
	if !s.spend(block, simulateLeast) {
		return nil, errBudget
	}
	tx, err := s.decode(raw)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "tx_bytes is no transaction: %v", err)
	}
	fee, ok := tx.(sdk.FeeTx)
	if !ok || fee.GetGas() == 0 || fee.GetGas() > app.MaxTxGas {
		return nil, status.Errorf(codes.InvalidArgument, "state the gas limit that the transaction is tried with, 1 to %d", app.MaxTxGas)
	}
	spent := max(int(fee.GetGas()), simulateLeast)
	if !s.spend(block, spent-simulateLeast) {
		return nil, errBudget
	}
	gas, res, executed, err := s.run(raw)
	if !executed { // it may be signed by nobody, and this be its sender's neighbours' budget
		s.spend(block, -max(spent-max(int(gas.GasUsed), simulateLeast), 0))
	}
	if err != nil {
		return nil, status.Errorf(codes.Unknown, "%v with gas used: '%d'", err, gas.GasUsed)
	}
	return &txtypes.SimulateResponse{GasInfo: &gas, Result: res}, nil
}

var errBudget = status.Errorf(codes.ResourceExhausted,
	"this network has used its budget of %d gas a second for trying transactions: try again shortly, with a lower gas limit, or send the transaction", simulateGas)

// spend takes gas from the budgets of an address block and of all; false if either has not so much. Less than none is given back.
func (s *simulations) spend(block netip.Prefix, gas int) bool {
	now := s.now()
	own := s.budget(block, now)
	if !own.AllowN(now, gas) {
		return false
	}
	if !s.all.AllowN(now, gas) {
		own.AllowN(now, -gas)
		return false
	}
	return true
}

func (s *simulations) budget(block netip.Prefix, now time.Time) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.blocks[block]; ok {
		return l
	}
	if len(s.blocks) >= maxBlocks && now.Sub(s.swept) >= time.Second {
		s.swept = now
		for b, l := range s.blocks { // a new one of a whole budget would be the same
			if l.TokensAt(now) >= simulateBurst {
				delete(s.blocks, b)
			}
		}
	}
	if len(s.blocks) >= maxBlocks {
		block = netip.Prefix{}
		if l, ok := s.blocks[block]; ok {
			return l
		}
	}
	l := rate.NewLimiter(simulateGas, simulateBurst)
	s.blocks[block] = l
	return l
}

// blockOf the caller's address; those without one, in the node's own process, have one together.
func blockOf(ctx context.Context) netip.Prefix {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return netip.Prefix{}
	}
	return peer.NetworkOf(p.Addr)
}
