package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/forget"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/record"
	"github.com/hippius/compute/miner/seed"
)

// agentDir is the environment variable that makes this test's program an agent on the host in that folder.
const agentDir = "AGENT_TEST_PROCESS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(agentDir); dir != "" {
		if err := runAgent(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const stateName = "agent.db"

// runAgent is the agent's process: its files are its own, all else is the host's. It ends with its parent.
func runAgent(dir string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	f, err := dialFar(filepath.Join(dir, socketName))
	if err != nil {
		return err
	}
	db, err := store.Open(filepath.Join(dir, stateName), migrations()...)
	if err != nil {
		return err
	}
	seeds, err := seed.NewStore(seed.Config{Dir: filepath.Join(dir, "seeds"), Group: -1, AnyFilesystem: true})
	if err != nil {
		return err
	}
	// Of two images one is too much: that makes the cache trim what is no more wanted.
	images, err := image.New(image.Config{Dir: filepath.Join(dir, "images"), AllowFile: true, MaxBytes: 1})
	if err != nil {
		return err
	}
	out := farSurroundings{f}
	a, err := agent.New(testConfig(), agent.Parts{
		Chain: out, Catalogue: out, Secrets: out, Images: images, Network: out, Seeds: seeds, Mesh: out,
		Driver: farDriver{f: f}, State: record.New(db), Orders: forget.New(filepath.Join(dir, "forget")),
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		return err
	}
	return a.Run(context.Background())
}

// process is an agent's.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	dead  chan struct{} // closed when it has ended
	said  bytes.Buffer  // for whoever looks after that
}

// spawn starts an agent's process in which faults happen. What the one before it asked of the host has been carried out by
// then, as a dead process's calls into the kernel have.
func (h *host) spawn(t *testing.T, faults string) *process {
	t.Helper()
	h.mu.Lock()
	for h.calls > 0 {
		h.left.Wait()
	}
	h.mu.Unlock()
	p := &process{cmd: exec.CommandContext(h.ctx, os.Args[0]), dead: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), agentDir+"="+h.w.dir, fault.Env+"="+faults)
	p.cmd.Stderr = &p.said
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.wg.Go(func() {
		_ = p.cmd.Wait() // how it ended is looked at by those who care
		close(p.dead)
	})
	return p
}

func (p *process) ended() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// dies tells whether it ends within a while.
func (p *process) dies(within time.Duration) bool {
	select {
	case <-p.dead:
		return true
	case <-time.After(within):
		return false
	}
}

// killed tells whether it died of SIGKILL; anything else that ended it is an error.
func (p *process) killed() error {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the agent ended with %v:\n%s", p.cmd.ProcessState, p.said.String())
	}
	return nil
}

// kill it with -9 and wait.
func (p *process) kill() error {
	err := p.cmd.Process.Signal(syscall.SIGKILL)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.dead
	return p.killed()
}
