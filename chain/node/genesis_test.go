package node_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/node"
)

// A genesis document of another chain is neither installed over a node's data nor started from; the node's own is, again and again.
func TestGenesisOverDataOfAnotherChain(t *testing.T) {
	c := testNet(t, 1)[0]
	path := filepath.Join(c.Home, "genesis.json")
	own, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.ReplaceAll(own, []byte(`"max_gas"`), []byte(`"max_gas" `)) // the same document, written otherwise
	if bytes.Equal(other, own) {
		t.Fatal("the document has no max_gas")
	}
	foreign := bytes.Replace(own, []byte(`"uhip"`), []byte(`"uhap"`), 1)
	if bytes.Equal(foreign, own) {
		t.Fatal("the document has no uhip")
	}
	if err := node.WriteGenesis(c.Home, foreign); err != nil {
		t.Fatalf("a home without data: %v", err)
	}
	if err := node.WriteGenesis(c.Home, own); err != nil {
		t.Fatal(err)
	}
	n := start(t, c)
	waitHeight(t, n, 2)
	h := n.Height()
	if err := node.WriteGenesis(c.Home, foreign); err == nil || !strings.Contains(err.Error(), "stop the node") {
		t.Errorf("while it runs: %v", err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := node.WriteGenesis(c.Home, foreign); !errors.Is(err, node.ErrOtherGenesis) {
		t.Errorf("installed over its data: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, own) {
		t.Fatalf("its document is changed: %v", err)
	}
	if err := node.WriteGenesis(c.Home, other); err != nil {
		t.Fatalf("its own document: %v", err)
	}
	if err := os.WriteFile(path, foreign, 0o600); err != nil { // by hand
		t.Fatal(err)
	}
	if n, err := node.Start(t.Context(), c, slog.New(slog.DiscardHandler)); !errors.Is(err, node.ErrOtherGenesis) {
		t.Errorf("started from it: %v", err)
		if err == nil {
			_ = n.Close(t.Context())
		}
	}
	if err := os.WriteFile(path, own, 0o600); err != nil {
		t.Fatal(err)
	}
	n = start(t, c)
	waitHeight(t, n, h+2)
}
