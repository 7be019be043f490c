package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// tried counts the transactions that were tried.
type tried struct{ n int }

func (t *tried) try([]byte) (sdk.GasInfo, *sdk.Result, bool, error) {
	t.n++
	return sdk.GasInfo{}, &sdk.Result{}, true, nil
}

// withGas is a transaction of which only the gas limit is asked.
type withGas struct {
	sdk.FeeTx

	gas uint64
}

func (w withGas) GetGas() uint64 { return w.gas }

func from(addr string) context.Context {
	return peer.NewContext(context.Background(), &peer.Peer{Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))})
}

func newTried(gas uint64) (*simulations, *tried) {
	behind := &tried{}
	s := newSimulations(nil, func([]byte) (sdk.Tx, error) { return withGas{gas: gas}, nil }, behind.try)
	at := time.Unix(1_800_000_000, 0)
	s.now = func() time.Time { return at }
	return s, behind
}

func (s *simulations) try(ctx context.Context) codes.Code {
	_, err := s.Simulate(ctx, &txtypes.SimulateRequest{TxBytes: []byte{1}})
	return status.Code(err)
}

// A client has the budget of its address block, whatever its address there and its key.
func TestSimulationBudgetIsPerAddressBlock(t *testing.T) {
	s, behind := newTried(10_000_000)
	for i := range 5 {
		if got := s.try(from(fmt.Sprintf("192.0.2.%d:%d", i+1, 1000+i))); got != codes.OK {
			t.Fatalf("call %d: %v", i, got)
		}
	}
	if got := s.try(from("192.0.2.200:7")); got != codes.ResourceExhausted {
		t.Errorf("beyond the budget: %v", got)
	}
	for _, other := range []string{"192.0.3.1:1", "[2001:db8:1::1]:1"} {
		if got := s.try(from(other)); got != codes.OK {
			t.Errorf("%s, of another block: %v", other, got)
		}
	}
	if behind.n != 7 {
		t.Errorf("%d transactions were tried", behind.n)
	}
	later := s.now().Add(2 * time.Second)
	s.now = func() time.Time { return later }
	if got := s.try(from("192.0.2.1:1")); got != codes.OK {
		t.Errorf("two seconds later: %v", got)
	}
}

// All together have a budget too, and what is no transaction uses it.
func TestSimulationBudgetOfAll(t *testing.T) {
	s, behind := newTried(50_000_000)
	for i := range 10 {
		s.try(from(fmt.Sprintf("[2001:db8:%x::1]:1", i+1)))
	}
	if behind.n != 2 {
		t.Errorf("%d transactions of 50 million gas were tried at once", behind.n)
	}
	s, _ = newTried(0)
	for range 250 {
		if got := s.try(from("192.0.2.1:1")); got != codes.InvalidArgument {
			t.Fatal(got)
		}
	}
	if got := s.try(from("192.0.2.1:1")); got != codes.ResourceExhausted {
		t.Errorf("after 250 calls without gas: %v", got)
	}
}

// However many address blocks come, what is remembered is bounded, and a new one is still served.
func TestSimulationRemembersFewBlocks(t *testing.T) {
	s, _ := newTried(1)
	for i := range 2 * maxBlocks {
		s.budget(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24), s.now()).AllowN(s.now(), 1)
	}
	if n := len(s.blocks); n > maxBlocks+1 {
		t.Errorf("%d blocks are remembered", n)
	}
	if got := s.try(from("192.0.2.1:1")); got != codes.OK {
		t.Error(got)
	}
}
