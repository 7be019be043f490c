package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/miner/operator"
	"github.com/hippius/compute/internal/testkit"
)

type minerView struct {
	Status       string `json:"status"`
	RegisteredAt int64  `json:"registered_at"`
	Bond         uint64 `json:"bond_uhip"`
}

// operate runs one of the commands of a miner's operator, on the miner's host.
func operate(ctx context.Context, n *devnet.Net, out *buffer, name string, args ...string) error {
	for _, cmd := range operator.Commands(operator.Dial) {
		if cmd.Name() == name {
			cmd.SetArgs(append(args, "--config", filepath.Join(n.Dir(), "miner0.yaml")))
			cmd.SetOut(out)
			cmd.SetErr(out)
			return cmd.ExecuteContext(ctx)
		}
	}
	return fmt.Errorf("there is no command %s", name)
}

// Before maintenance a miner is drained: it takes nothing new, also after a restart, serves what it has, and its operator
// sees when it is empty. Its bond stays as it is.
func TestDrainedMiner(t *testing.T) {
	n := fakeNetwork(t, func(c *devnet.Config) { c.Miners = 1 })
	u := newTenant(t, n)
	u.ok("billing", "buy", "20")
	u.ok("key", "add", "laptop", u.publicKey())
	u.ok("vm", "create", "web-1", "--plan", "spark", "--image", "tiny", "--wait", "--timeout", "60s")
	var registered, after minerView
	u.read(&registered, "miner", "show", "miner0")

	var out buffer
	if err := operate(t.Context(), n, &out, "drain"); err != nil || out.String() != "miner0 takes no new VMs\n1 VM is left\n" {
		t.Fatalf("%v, %q", err, out.String())
	}
	if shown := u.ok("miner", "ls"); !strings.Contains(shown, "draining") {
		t.Errorf("shown is\n%s", shown)
	}
	if shown := u.ok("miner", "show", "miner0"); !strings.Contains(shown, "draining: takes no new VMs") {
		t.Errorf("shown is\n%s", shown)
	}
	if err := n.Restart(t.Context(), "miner0"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		text, err := askMetrics(t.Context(), filepath.Join(n.Dir(), "miner0.yaml"))
		if err != nil {
			return err // not back yet
		}
		for _, line := range []string{`hippius_miner_status{status="draining"} 1`, `hippius_miner_status{status="active"} 0`, `hippius_miner_vms{phase="running"} 1`} {
			if !strings.Contains(text, line) {
				return fmt.Errorf("its metrics lack %s", line)
			}
		}
		return nil
	})
	u.ok("vm", "create", "web-2", "--plan", "spark", "--image", "tiny")
	u.ok("vm", "reboot", "web-1", "--wait", "--timeout", "60s")

	// The wait ends without harm, and the next one sees the last VM go.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := operate(ctx, n, &buffer{}, "drain", "--wait"); err == nil || !strings.Contains(err.Error(), "miner0 continues to drain, 1 VM is left") {
		t.Errorf("the wait ended with %v", err)
	}
	var wait sync.WaitGroup
	var said buffer
	var ended error
	wait.Go(func() { ended = operate(t.Context(), n, &said, "drain", "--wait") })
	testkit.Eventually(t, time.Minute, func() error {
		if !strings.Contains(said.String(), "1 VM is left") {
			return fmt.Errorf("it says %q", said.String())
		}
		return nil
	})
	u.ok("vm", "rm", "web-1", "--yes", "--wait", "--timeout", "60s")
	wait.Wait()
	if ended != nil || !strings.HasSuffix(said.String(), "miner0 is empty\n") {
		t.Errorf("%v, %q", ended, said.String())
	}
	if shown := u.ok("vm", "show", "web-2"); !strings.Contains(shown, "pending") {
		t.Errorf("while the miner drains:\n%s", shown)
	}

	if err := operate(t.Context(), n, &buffer{}, "undrain"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		if shown := u.ok("vm", "show", "web-2"); !strings.Contains(shown, "running") {
			return fmt.Errorf("after it takes VMs again:\n%s", shown)
		}
		return nil
	})
	u.read(&after, "miner", "show", "miner0")
	if after.Status != "active" || after.RegisteredAt != registered.RegisteredAt || after.Bond != registered.Bond {
		t.Errorf("it was %+v and is %+v", registered, after)
	}
}
