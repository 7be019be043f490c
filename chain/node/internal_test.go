package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
)

type brokenApp struct {
	abci.Application

	err error
}

func (b brokenApp) FinalizeBlock(context.Context, *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	if b.err == nil {
		panic("upgrade needed")
	}
	return nil, b.err
}

// The node ends when a block cannot be executed, instead of standing still.
func TestNodeEndsWhenABlockFails(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{{errors.New("no room"), "no room"}, {nil, "upgrade needed"}} {
		n := &Node{log: slog.New(slog.DiscardHandler), failed: make(chan error, 1)}
		closed := false
		n.onClose(func(context.Context) error { closed = true; return nil })
		w := watchedApp{Application: brokenApp{err: c.err}, failed: func(_ int64, err error) { n.fail(err) }}
		func() {
			defer func() { _ = recover() }()
			_, _ = w.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{Height: 7})
		}()
		if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "block 7: "+c.says) || !closed {
			t.Errorf("%v, closed %v", err, closed)
		}
	}
}

func TestSettingsRefused(t *testing.T) {
	for says, spoil := range map[string]func(*Config){
		"p2p":             func(c *Config) { c.P2P = "" },
		"grpc":            func(c *Config) { c.GRPC = "nine" },
		"loopback":        func(c *Config) { c.GRPCPlain = "0.0.0.0:1" },
		"id@host:port":    func(c *Config) { c.Peers = []string{"host:1"} },
		"block_time":      func(c *Config) { c.BlockTime = time.Millisecond },
		"propose_timeout": func(c *Config) { c.ProposeTimeout = 0 },
		"keep_states":     func(c *Config) { c.KeepStates = 5 },
		"keep_blocks":     func(c *Config) { c.KeepBlocks = time.Minute },
		"for ever":        func(c *Config) { c.KeepBlocks = 11 * 365 * 24 * time.Hour },
		"snapshot_inter":  func(c *Config) { c.SnapshotInterval = 9 },
		"snapshots_kept":  func(c *Config) { c.SnapshotsKept = 0 },
		"trust_period":    func(c *Config) { c.StateSync.TrustPeriod = time.Minute },
		"2 to 16":         func(c *Config) { c.StateSync.Servers = []string{"a:1"} },
		"trust_height":    func(c *Config) { c.StateSync.Servers = []string{"a:1", "b:1"} },
		"trust_hash": func(c *Config) {
			c.StateSync.Servers, c.StateSync.TrustHeight, c.StateSync.TrustHash = []string{"a:1", "b:1"}, 1, "ab"
		},
		"log_level": func(c *Config) { c.LogLevel = "loud" },
	} {
		c := DefaultConfig("x")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	c := DefaultConfig("x")
	c.Peers = []string{strings.Repeat("ab", 20) + "@node.example.org:26656"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// A validator that lost what it signed last must not start, and a damaged key must not end the process.
func TestKeysLostOrDamaged(t *testing.T) {
	home := t.TempDir()
	info, err := Init(home)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Init(home); err != nil || !again.ConsensusKey.Equal(info.ConsensusKey) || again.PeerID != info.PeerID || !again.Identity.Equal(info.Identity) {
		t.Fatalf("keys changed: %+v, %+v, %v", info, again, err)
	}
	state := filepath.Join(home, signStateFile)
	if err := os.Rename(state, state+".bak"); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadInfo(home); err == nil || !strings.Contains(err.Error(), "sign twice") {
		t.Error(err)
	}
	if err := os.WriteFile(state, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadInfo(home); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
	if _, err := ReadInfo(t.TempDir()); err == nil || !strings.Contains(err.Error(), "hippiusd init") {
		t.Error(err)
	}
}

// CometBFT's peers are answered from the block store until they are gone, which may be after it was closed.
func TestClosedDatabaseDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dbs := &databases{}
	c := cfg.DefaultConfig()
	c.SetRoot(t.TempDir())
	db, err := dbs.open(&cfg.DBContext{ID: "blockstore", Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetSync([]byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if v, err := db.Get([]byte("a")); err != nil || string(v) != "b" {
		t.Fatalf("%q: %v", v, err)
	}
	if err := errors.Join(db.Close(), dbs.close()); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 2)
	go func() { _, err := db.Get([]byte("a")); answered <- err }()
	go func() { _, err := db.Has([]byte("a")); answered <- err }()
	select {
	case err := <-answered:
		t.Errorf("a closed database answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
}
