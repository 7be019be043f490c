package guest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/guest"
)

// talk starts a conversation and gives the miner's end.
func talk(t *testing.T, opts guest.Options) (net.Conn, chan error) {
	t.Helper()
	cfg, _ := testConfig(t)
	host, near := net.Pipe()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- guest.Serve(ctx, cfg, near, opts) }()
	t.Cleanup(func() {
		cancel()
		_ = host.Close()
	})
	if err := host.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return host, done
}

func next(t *testing.T, r *wire.Reader) wire.ToHost {
	t.Helper()
	var m wire.ToHost
	if err := r.Next(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestServeProves(t *testing.T) {
	t.Parallel()
	_, pub := testConfig(t)
	host, _ := talk(t, guest.Options{
		Version: "1.2.3",
		Status:  func() guest.Status { return guest.Status{MeshUp: true, Problem: "ssh: no disk"} },
		Metrics: func() (wire.Metrics, error) { return wire.Metrics{MemoryTotalKiB: 42}, nil },
	})
	in := wire.NewReader(host)
	m := next(t, in)
	if h := m.Hello; h == nil || h.VMID != testVM || h.Seq != 3 || h.AgentVersion != "1.2.3" || !h.MeshUp || h.Error == "" {
		t.Fatalf("hello %+v", m.Hello)
	}
	if m.Metrics == nil || m.Metrics.MemoryTotalKiB != 42 {
		t.Errorf("metrics %+v", m.Metrics)
	}
	hash := bytes.Repeat([]byte{9}, 32)
	if _, err := host.Write([]byte("garbage\n{\"challenge\":7}\n")); err != nil {
		t.Fatal(err)
	}
	if err := wire.WriteMessage(host, wire.ToGuest{Challenge: &wire.Challenge{Height: 77, Hash: hash}}); err != nil {
		t.Fatal(err)
	}
	p := next(t, in).Proof
	if p == nil || p.Height != 77 || !vm.VerifyProof(pub, testChain, testVM, 3, 77, hash, p.Signature) {
		t.Errorf("proof %+v does not verify", p)
	}
	if vm.VerifyProof(pub, testChain, testVM, 4, 77, hash, p.Signature) {
		t.Error("the proof holds for another instance")
	}
}

// A VM that its tenant cannot log in to yet is not proven alive, so not charged.
func TestServeProvesNothingBeforeItIsReady(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	host, _ := talk(t, guest.Options{Ready: ready, Every: time.Hour})
	in := wire.NewReader(host)
	if next(t, in).Hello == nil {
		t.Fatal("no hello")
	}
	ask := func(height int64) {
		t.Helper()
		if err := wire.WriteMessage(host, wire.ToGuest{Challenge: &wire.Challenge{Height: height, Hash: []byte{1}}}); err != nil {
			t.Fatal(err)
		}
	}
	ask(1)
	ask(2) // by now the first was read, and dropped
	close(ready)
	ask(3)
	helloAndProof(t, in)
}

// helloAndProof waits for a hello and the proof of height 3; the second question
// may have been read only when the VM was ready, the first cannot.
func helloAndProof(t *testing.T, in *wire.Reader) {
	t.Helper()
	var hello, proven bool
	for !hello || !proven {
		m := next(t, in)
		hello = hello || m.Hello != nil
		if m.Proof != nil && m.Proof.Height == 1 {
			t.Fatal("proven alive before it was ready")
		}
		proven = proven || m.Proof != nil && m.Proof.Height == 3
	}
}

func TestServeHooks(t *testing.T) {
	t.Parallel()
	meshes, ends, clocks := make(chan wire.Mesh, 1), make(chan time.Time, 1), make(chan time.Time, 9)
	host, _ := talk(t, guest.Options{
		Mesh:     func(m wire.Mesh) { meshes <- m },
		Shutdown: func(_ wire.Shutdown, sent time.Time) { ends <- sent },
		Clock:    func(sent time.Time) { clocks <- sent },
	})
	next(t, wire.NewReader(host))
	go func() { _, _ = io.Copy(io.Discard, host) }()
	for _, m := range []wire.ToGuest{
		{Mesh: &wire.Mesh{Blocklist: []string{"ab"}}, UnixMilli: 1000},
		{Shutdown: &wire.Shutdown{}, UnixMilli: 2000},
		{},
	} {
		if err := wire.WriteMessage(host, m); err != nil {
			t.Fatal(err)
		}
	}
	if m := <-meshes; len(m.Blocklist) != 1 {
		t.Errorf("mesh %+v", m)
	}
	if sent := <-ends; sent.UnixMilli() != 2000 {
		t.Errorf("shutdown was sent at %d", sent.UnixMilli())
	}
	if a, b := <-clocks, <-clocks; a.UnixMilli() != 1000 || b.UnixMilli() != 2000 {
		t.Errorf("clocks %v %v", a, b)
	}
}

func TestServeEnds(t *testing.T) {
	t.Parallel()
	host, done := talk(t, guest.Options{})
	next(t, wire.NewReader(host))
	_ = host.Close()
	select {
	case err := <-done:
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("the host left: %v, want the stream's error", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Serve outlives its stream")
	}

	cfg, _ := testConfig(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, near := net.Pipe() // nobody reads, nobody writes
	go func() { done <- guest.Serve(ctx, cfg, near, guest.Options{}) }()
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Serve outlives its context")
	}
	cfg.ProofKey = nil
	if err := guest.Serve(t.Context(), cfg, near, guest.Options{}); err == nil {
		t.Error("served without a key")
	}
}

// A host that asks without listening must not make the agent grow or hang.
func TestServeOutlivesAFlood(t *testing.T) {
	t.Parallel()
	host, _ := talk(t, guest.Options{Every: time.Hour})
	in := wire.NewReader(host)
	next(t, in)
	for i := range 500 {
		if err := wire.WriteMessage(host, wire.ToGuest{Challenge: &wire.Challenge{Height: int64(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	heights := map[int64]bool{}
	for range 16 {
		heights[next(t, in).Proof.Height] = true
	}
	if len(heights) != 16 {
		t.Errorf("%d answers, want 16 different ones", len(heights))
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"challenge":{"height":1,"hash":"AA=="},"unix_milli":5}` + "\n"))
	f.Add([]byte(`{"mesh":{"lighthouses":[{"address":"x"}]}}` + "\n{\n\n[]"))
	f.Add([]byte(`{"shutdown":{"reboot":true},"unix_milli":-1}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, _ := testConfig(t)
		conn := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(data), io.Discard}
		opts := guest.Options{
			Mesh: func(wire.Mesh) {}, Clock: func(time.Time) {}, Shutdown: func(wire.Shutdown, time.Time) {},
		}
		if err := guest.Serve(t.Context(), cfg, conn, opts); err == nil {
			t.Error("Serve ended without saying why")
		}
	})
}

// A host of another time is told so, and its words are not acted upon.
func TestServeSaysWhenVersionsDiffer(t *testing.T) {
	t.Parallel()
	ends := make(chan time.Time, 1)
	host, _ := talk(t, guest.Options{Shutdown: func(_ wire.Shutdown, sent time.Time) { ends <- sent }})
	in := wire.NewReader(host)
	if h := next(t, in).Hello; h == nil || h.Protocol == nil || *h.Protocol != wire.Spoken() || h.Error != "" {
		t.Fatalf("first hello %+v", h)
	}
	say := func(m wire.ToGuest) {
		t.Helper()
		if err := wire.WriteMessage(host, m); err != nil {
			t.Fatal(err)
		}
	}
	say(wire.ToGuest{Protocol: &wire.Versions{Oldest: 8, Newest: 9}})
	if h := next(t, in).Hello; h == nil || !strings.Contains(h.Error, "there 8 to 9") {
		t.Fatalf("hello to an unsupported host: %+v", h)
	}
	say(wire.ToGuest{Shutdown: &wire.Shutdown{}, UnixMilli: 5})
	spoken := wire.Spoken()
	say(wire.ToGuest{Protocol: &spoken, Challenge: &wire.Challenge{Height: 3, Hash: bytes.Repeat([]byte{1}, 32)}})
	for p := next(t, in).Proof; p == nil; p = next(t, in).Proof {
	}
	if len(ends) != 0 {
		t.Error("shut down by an unsupported host")
	}
}
