package node

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
)

// blocks of a chain: two transactions each, the second of which fails.
func blockTxs(height int64) [][]byte {
	return [][]byte{fmt.Appendf(nil, "good %d", height), fmt.Appendf(nil, "bad %d", height)}
}

func blockResults(int64) []*abci.ExecTxResult { return []*abci.ExecTxResult{{}, {Code: 5}} }

func source(base, height int64) blockSource {
	return blockSource{
		base: base, height: height,
		txs:     func(h int64) ([][]byte, bool) { return blockTxs(h), h >= base && h <= height },
		results: func(h int64) ([]*abci.ExecTxResult, error) { return blockResults(h), nil },
	}
}

func added(t *testing.T, x *txIndex, from, to int64) {
	t.Helper()
	for h := from; h <= to; h++ {
		if err := x.add(h, blockTxs(h), blockResults(h)); err != nil {
			t.Fatal(err)
		}
	}
}

// holds says that of blocks 1 to 20 exactly those from first on are in the index.
func holds(t *testing.T, x *txIndex, first int64) {
	t.Helper()
	for h := int64(1); h <= 20; h++ {
		for i, tx := range blockTxs(h) {
			at, found, err := x.find(cmttypes.Tx(tx).Hash())
			if err != nil {
				t.Fatal(err)
			}
			if want := h >= first; found != want || found && (at.height != h || at.index != uint32(i) || at.ok != (i == 0)) {
				t.Errorf("transaction %d of block %d: %+v, found %v; want %v", i, h, at, found, want)
			}
		}
	}
}

func TestTxIndexForgets(t *testing.T) {
	x := &txIndex{db: dbm.NewMemDB()}
	added(t, x, 1, 20)
	holds(t, x, 1)
	if err := x.forget(8); err != nil {
		t.Fatal(err)
	}
	holds(t, x, 8)
	if err := x.forget(21); err != nil {
		t.Fatal(err)
	}
	holds(t, x, 21)
	it, err := x.db.Iterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close() //nolint:errcheck // in memory
	for ; it.Valid(); it.Next() {
		if !bytes.Equal(it.Key(), []byte{prefixLast}) {
			t.Errorf("%q is left", it.Key())
		}
	}
}

// A crash loses the end of the index, the whole of it, or its middle: blocks replayed at the start leave a gap before them.
func TestTxIndexHeals(t *testing.T) {
	for name, lost := range map[string]func(x *txIndex){
		"the end":   func(x *txIndex) { added(t, x, 1, 17) },
		"all":       func(*txIndex) {},
		"a gap":     func(x *txIndex) { added(t, x, 1, 15); added(t, x, 20, 20) },
		"nothing":   func(x *txIndex) { added(t, x, 1, 20) },
		"its begin": func(x *txIndex) { added(t, x, 3, 20) },
	} {
		x := &txIndex{db: dbm.NewMemDB()}
		lost(x)
		if _, err := x.heal(source(1, 20)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		holds(t, x, 1)
		if again, err := x.heal(source(1, 20)); err != nil || again != 0 {
			t.Errorf("%s: healed %d blocks again, %v", name, again, err)
		}
	}
	// A node that starts from a snapshot has no blocks before it, and looks for none at its next start.
	x := &txIndex{db: dbm.NewMemDB()}
	if _, err := x.heal(source(0, 0)); err != nil {
		t.Fatal(err)
	}
	added(t, x, 11, 14)
	if healed, err := x.heal(source(11, 20)); err != nil || healed != 6 {
		t.Errorf("healed %d, %v", healed, err)
	}
	holds(t, x, 11)
}

// A proposer that puts a transaction into a later block again cannot hide that it was carried out.
func TestTxIndexKeepsWhatWasCarriedOut(t *testing.T) {
	tx := [][]byte{[]byte("tx")}
	result := func(code uint32) []*abci.ExecTxResult { return []*abci.ExecTxResult{{Code: code}} }
	for _, c := range []struct {
		codes []uint32
		want  int64
	}{{[]uint32{0, 7}, 1}, {[]uint32{7, 0}, 2}, {[]uint32{7, 7}, 2}, {[]uint32{7, 0, 7}, 2}} {
		x := &txIndex{db: dbm.NewMemDB()}
		for i, code := range c.codes {
			if err := x.add(int64(i+1), tx, result(code)); err != nil {
				t.Fatal(err)
			}
		}
		if at, found, err := x.find(cmttypes.Tx(tx[0]).Hash()); err != nil || !found || at.height != c.want {
			t.Errorf("codes %v: %+v, %v, %v; want height %d", c.codes, at, found, err, c.want)
		}
	}
}

func TestRetention(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	base := int64(10)
	age := time.Hour
	r := retention{
		base: func() int64 { return base },
		// One block a second, the last at height 5 000.
		meta: func(h int64) *cmttypes.BlockMeta {
			return &cmttypes.BlockMeta{Header: cmttypes.Header{Time: now.Add(time.Duration(h-5000) * time.Second)}}
		},
		evidenceAge: func() (time.Duration, error) { return age, nil },
	}
	for _, c := range []struct{ base, asked, want int64 }{
		{10, 0, 0},         // the SDK wants all
		{10, 10, 0},        // nothing new
		{10, 12, 12},       // one after the other
		{10, 1200, 110},    // bit by bit
		{1350, 1399, 1399}, // an hour is 3 600 blocks: the first that counts is 1 400
		{1350, 1500, 1400}, // evidence of block 1 400 is good still
		{1400, 4000, 1400}, // and later
		{1401, 4000, 1401}, //
		{10, 9, 0},         //
	} {
		base = c.base
		if got, err := r.height(c.asked, now); err != nil || got != c.want {
			t.Errorf("base %d, asked %d: %d, %v; want %d", c.base, c.asked, got, err, c.want)
		}
	}
	base = 10
	r.evidenceAge = func() (time.Duration, error) { return 0, errors.New("no state") }
	if _, err := r.height(100, now); err == nil {
		t.Error("pruned without knowing the age of evidence")
	}
	c := DefaultConfig("x")
	if got := c.retainBlocks(); got != 14*24*3600 {
		t.Errorf("by default %d blocks are kept", got)
	}
	c.KeepBlocks, c.BlockTime = time.Hour, time.Minute
	if got := c.retainBlocks(); got != 30_000 {
		t.Errorf("%d blocks are kept; the snapshots need 30 000", got)
	}
	c.KeepBlocks = 0
	if got := c.retainBlocks(); got != 0 {
		t.Errorf("%d blocks are kept of all", got)
	}
}
