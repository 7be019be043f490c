package node_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	chainv1 "github.com/hippius/compute/api/node/chain/v1"
	"github.com/hippius/compute/chain/node"
	"github.com/hippius/compute/internal/peer"
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

// TestGenesisHash: the hash that a node tells is that of the file with which it began, whatever lies there later.
func TestGenesisHash(t *testing.T) {
	c := testNet(t, 1)[0]
	path := filepath.Join(c.Home, "genesis.json")
	own, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(own)
	for range 2 {
		n := start(t, c)
		waitHeight(t, n, n.Height()+1)
		_, key, _ := ed25519.GenerateKey(nil)
		conn, err := peer.NewClient(n.GRPCAddr(), key, n.Info().Identity)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := peer.Dialer(nil).LoopbackPlain(n.GRPCPlainAddr())
		if err != nil {
			t.Fatal(err)
		}
		for _, cc := range []*grpc.ClientConn{conn, plain} {
			said, err := chainv1.NewChainClient(cc).Genesis(t.Context(), &chainv1.GenesisRequest{})
			if err != nil || said.GetChainId() == "" || !bytes.Equal(said.GetGenesisHash(), want[:]) {
				t.Errorf("the node says %v, %v; want genesis %x", said, err, want)
			}
		}
		if err := errors.Join(conn.Close(), plain.Close(), n.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		// The same document, written otherwise.
		if err := os.WriteFile(path, bytes.ReplaceAll(own, []byte(`"max_gas"`), []byte(`"max_gas" `)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.Home, "data", "genesis.sha256"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := node.Start(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil {
		t.Errorf("a damaged record is taken; closed: %v", n.Close(t.Context()))
	}
}
