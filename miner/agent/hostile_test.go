package agent_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/record"
)

// TestGuestFloods: a guest that shouts garbage on its channel harms nobody but
// itself.
func TestGuestFloods(t *testing.T) {
	w := newWorld(t)
	var mad sync.Map // of VM ids
	w.rogue = func(m hypervisor.Definition) func(context.Context, net.Conn) {
		if _, is := mad.Load(m.ID); !is {
			return nil
		}
		return func(ctx context.Context, conn net.Conn) {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			junk := append(bytes.Repeat([]byte("\x00\xff}{\"proof\":"), 3000), "\n{\"hello\":{}}\n"...)
			for {
				if _, err := conn.Write(junk); err != nil {
					return
				}
			}
		}
	}
	w.startAgent()
	flooder := w.newVM()
	mad.Store(flooder, true)
	w.until("the flooder's VM runs", func() bool { return w.inspect(flooder).State == hypervisor.StateRunning })
	// The others are started, proven and stopped beside it as if it were not there.
	quiet := w.newVM()
	w.until("up", func() bool { return w.runs(quiet) })
	from := w.chain.Proven(quiet)
	w.until("proven on", func() bool { return w.chain.Proven(quiet) > from+3 })
	w.order(quiet, vm.Stop)
	w.untilPhase(quiet, vm.Stopped)
	if p := w.chain.Proven(flooder); p != 0 {
		t.Errorf("the flooder was proven at %d", p)
	}
	w.order(flooder, vm.Terminate)
	w.until("the flooder is gone", func() bool { return w.inspect(flooder).State == hypervisor.StateAbsent })
}

// TestSecretsStayInMemory: of what the keepers release nothing but the seed
// lies in a file, for as long as the VM runs, and nothing is logged.
func TestSecretsStayInMemory(t *testing.T) {
	const userData = "#cloud-config\n# the tenant's own password\n"
	w := newWorld(t)
	w.keepers.userData = []byte(userData)
	var said lockedBuffer
	w.parts = func(p *agent.Parts) {
		p.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	w.startAgent()
	id := w.newVM()
	w.until("up", func() bool { return w.runs(id) })

	bundle, _, err := w.keepers.Collect(t.Context(), id, 1)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string][]byte{"proof key": bundle.ProofKey, "disk key": bundle.DiskKey}
	for what, b := range map[string][]byte{"proof key": bundle.ProofKey, "disk key": bundle.DiskKey} {
		secrets[what+" in base64"] = []byte(base64.StdEncoding.EncodeToString(b))
		secrets[what+" in hex"] = []byte(hex.EncodeToString(b))
	}
	secrets["user data"] = []byte("the tenant's own password")
	secrets["user data in base64"] = []byte(base64.StdEncoding.EncodeToString([]byte(userData))[:40])
	inSeed := search(t, filepath.Join(w.dir, "seeds"), secrets)
	if len(inSeed) == 0 {
		t.Fatal("the seed holds none of what is searched for: the search is blind")
	}
	for _, found := range search(t, w.dir, secrets) {
		if !strings.Contains(found, "/seeds/") {
			t.Error(found)
		}
	}
	for what, b := range secrets {
		if bytes.Contains(said.bytes(), b) {
			t.Errorf("the %s was logged", what)
		}
	}
	if !bytes.Contains(said.bytes(), []byte("VM started")) {
		t.Error("nothing was logged at all")
	}
	// And then it is gone.
	w.order(id, vm.Stop)
	w.until("the seed is removed", func() bool { return len(w.runtime(id)) == 0 })
	for _, found := range search(t, w.dir, secrets) {
		t.Errorf("after the stop: %s", found)
	}
}

// search tells which files hold what, and which may be read by anybody.
func search(t *testing.T, dir string, secrets map[string][]byte) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for what, b := range secrets {
			if bytes.Contains(data, b) {
				found = append(found, "the "+what+" lies in "+path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// lockedBuffer is a buffer that several may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// lyingChain is a node that adds VMs no chain has.
type lyingChain struct {
	agent.Chain
	mu sync.Mutex
	id vm.ID
}

func (c *lyingChain) lie(id vm.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
}

func (c *lyingChain) Changes(ctx context.Context, after int64) (agent.Changes, error) {
	out, err := c.Chain.Changes(ctx, after)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != "" {
		out.VMs = append(out.VMs, vm.VM{ID: c.id, Status: vm.Status{Phase: vm.Terminated, Miner: "m"}})
		out.Released = append(out.Released, c.id)
	}
	return out, err
}

// TestLyingNode: an id that leads elsewhere is not acted upon, nothing outside
// is touched, and with an honest node it goes on.
func TestLyingNode(t *testing.T) {
	w := newWorld(t)
	victim := filepath.Join(w.dir, "victim.iso")
	if err := os.WriteFile(victim, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	liar := &lyingChain{Chain: w.chain}
	w.parts = func(p *agent.Parts) {
		p.Chain = liar
		p.Log = slog.New(slog.NewTextHandler(&said, nil))
	}
	w.startAgent()
	id := w.newVM()
	w.until("up", func() bool { return w.runs(id) })
	for _, lie := range []vm.ID{"../victim", "", "..", "a\nb", "x'; DROP", vm.ID(strings.Repeat("f", 33))} {
		said.mu.Lock()
		said.b.Reset()
		said.mu.Unlock()
		liar.lie(lie)
		if lie == "" {
			continue // the honest answer again
		}
		w.until("the answer is refused", func() bool { return bytes.Contains(said.bytes(), []byte("answer is not used")) })
		if w.inspect(id).State != hypervisor.StateRunning {
			t.Fatalf("%q stopped a VM", lie)
		}
	}
	liar.lie("")
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	if _, err := os.Stat(victim); err != nil {
		t.Error("a file outside the seeds' folder was removed")
	}
	if all, err := record.New(w.db).Cursor(); err != nil || all == 0 {
		t.Errorf("cursor %d, %v", all, err)
	}
}
