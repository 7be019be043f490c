package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/forget"
)

const operatorAddress = "hip1operator"

// onChain is a chain with one miner, whose state changes at each look.
type onChain struct {
	status node.MinerStatus
	// vms at each look; the last stays.
	vms []uint32
	// fails at each look, where there is an error.
	fails []error
	// undrained after so many looks; 0 for never.
	undrained int

	// earned and not paid out, in uhip.
	accrued uint64

	// what chain nodes know of a VM, unless one is down, and where the miner gets its orders.
	known   []vm.VM
	down    bool
	forgets *forget.Orders

	looks  int
	orders []bool
	bonds  int
	closed bool
}

func (c *onChain) Address() string { return operatorAddress }
func (c *onChain) Close() error    { c.closed = true; return nil }

func (c *onChain) Miner(_ context.Context, operator string) (node.Miner, error) {
	at := c.looks
	c.looks++
	if c.status == 0 || operator != operatorAddress {
		return node.Miner{}, fmt.Errorf("miner: %w", client.ErrNotFound)
	}
	if at < len(c.fails) && c.fails[at] != nil {
		return node.Miner{}, c.fails[at]
	}
	if c.undrained != 0 && at >= c.undrained {
		c.status = active
	}
	return node.Miner{
		Offer: node.Offer{Name: "rack-1"}, Status: c.status, Usage: node.Usage{VMs: c.vms[min(at, len(c.vms)-1)]},
		BondUhip: 1000, UnbondingUntil: 1_800_000_000,
	}, nil
}

func (c *onChain) DrainMiner(_ context.Context, undo bool) error {
	c.orders = append(c.orders, undo)
	c.status = draining
	if undo {
		c.status = active
	}
	return nil
}

func (c *onChain) UnbondMiner(context.Context) error {
	c.bonds++
	c.status = unbonding
	return nil
}

func (c *onChain) Earnings(context.Context, string) (credit.Earnings, error) {
	return credit.Earnings{AccruedUhip: c.accrued, ClaimedUhip: 7, ServedUcredit: 90}, nil
}

func (c *onChain) ClaimEarnings(context.Context) (uint64, error) {
	defer func() { c.accrued = 0 }()
	if c.accrued == 0 {
		return 0, errors.New("nothing has accrued, and a fee was paid for it")
	}
	return c.accrued, nil
}

func (c *onChain) Uhip(context.Context, string) (uint64, error) { return 12, nil }

// command runs one of the commands and gives all that it printed.
func command(ctx context.Context, c *onChain, args ...string) (string, error) {
	all := Commands(func(path string) (Chain, error) {
		if path != "/etc/hippius/miner.yaml" {
			return nil, fmt.Errorf("the settings were read from %s", path)
		}
		return c, nil
	})
	var out bytes.Buffer
	for _, cmd := range all {
		if cmd.Name() != args[0] {
			continue
		}
		cmd.SetArgs(args[1:])
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(ctx)
		return out.String(), err
	}
	return "", errors.New("there is no such command")
}

func TestCommands(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	away := fmt.Errorf("miner: %w", client.ErrUnavailable)
	for name, c := range map[string]struct {
		chain  onChain
		args   string
		prints string
		fails  string
		orders []bool
		bonds  int
	}{
		"drain": {
			chain: onChain{status: active, vms: []uint32{2}}, args: "drain", orders: []bool{false},
			prints: "rack-1 takes no new VMs\n2 VMs are left\n",
		},
		"drained already": {
			chain: onChain{status: draining, vms: []uint32{1}}, args: "drain",
			prints: "rack-1 takes no new VMs, as before\n1 VM is left\n",
		},
		"nothing to wait for": {
			chain: onChain{status: active, vms: []uint32{0}}, args: "drain --wait", orders: []bool{false},
			prints: "rack-1 takes no new VMs\nrack-1 is empty\n",
		},
		"waiting": {
			chain: onChain{status: active, vms: []uint32{3, 3, 3, 2, 2, 1, 0}}, args: "drain --wait", orders: []bool{false},
			prints: "rack-1 takes no new VMs\n      0s  3 VMs are left\n      4s  2 VMs are left\n      8s  1 VM is left\nrack-1 is empty\n",
		},
		"while no node answers": {
			chain: onChain{status: draining, vms: []uint32{1, 1, 1, 0}, fails: []error{nil, away, away}}, args: "drain --wait",
			prints: "rack-1 takes no new VMs, as before\n      0s  1 VM is left\nrack-1 is empty\n",
		},
		"another takes it back": {
			chain: onChain{status: active, vms: []uint32{1}, undrained: 4}, args: "drain --wait", orders: []bool{false},
			prints: "rack-1 takes no new VMs\n      0s  1 VM is left\n", fails: "rack-1 does not become empty: it was ordered to take new VMs again (undrain)",
		},
		"the chain refuses": {
			chain: onChain{status: draining, vms: []uint32{1}, fails: []error{nil, broken}}, args: "drain --wait",
			prints: "rack-1 takes no new VMs, as before\n      0s  1 VM is left\n", fails: "the disk is broken",
		},
		"unbonding": {chain: onChain{status: unbonding, vms: []uint32{0}}, args: "drain", fails: "rack-1 is unbonding"},
		"no miner":  {args: "drain", fails: "hip1operator has registered no miner"},
		"undrain": {
			chain: onChain{status: draining, vms: []uint32{2}}, args: "undrain", orders: []bool{true},
			prints: "rack-1 takes new VMs again\n",
		},
		"nothing to undo": {chain: onChain{status: active, vms: []uint32{2}}, args: "undrain", prints: "rack-1 takes new VMs; it did not drain\n"},
		"unbond": {
			chain: onChain{status: draining, vms: []uint32{0}}, args: "unbond --yes", bonds: 1,
			prints: "rack-1 takes no VMs, and its 1000 uhip come back after Fri, 15 Jan 2027 08:00:00 UTC\nstop the miner for good: systemctl disable --now hippius-miner\n",
		},
		"unbond unsure":    {chain: onChain{status: active, vms: []uint32{0}}, args: "unbond", fails: "1000 uhip would come back to hip1operator after the network's unbonding time; add --yes to do it"},
		"unbond not empty": {chain: onChain{status: draining, vms: []uint32{2}}, args: "unbond --yes", fails: "rack-1: the bond is locked while VMs are on this miner: 2 VMs are left"},
		"unbond again": {
			chain: onChain{status: unbonding, vms: []uint32{0}}, args: "unbond --yes",
			prints: "rack-1 takes no VMs, and its 1000 uhip come back after Fri, 15 Jan 2027 08:00:00 UTC, as before\n",
		},
		"unbond when gone": {chain: onChain{status: gone, vms: []uint32{0}}, args: "unbond", prints: "rack-1 has left, and its bond is back\n"},
		"earnings": {
			chain: onChain{status: active, vms: []uint32{0}, accrued: 5}, args: "earnings",
			prints: "Operator   hip1operator\nAccrued    5 uhip, paid out by 'hippius-miner claim'\nPaid out   7 uhip\nServed     for 90 ucredit\nAccount    12 uhip\nBond       1000 uhip\n",
		},
		"earnings as yaml": {chain: onChain{status: active, vms: []uint32{0}}, args: "earnings -o yaml", fails: "accepted are table and json"},
		"claim":            {chain: onChain{status: gone, vms: []uint32{0}, accrued: 5}, args: "claim", prints: "5 uhip were paid to hip1operator\n"},
		"nothing to claim": {chain: onChain{status: active, vms: []uint32{0}}, args: "claim", prints: "nothing has accrued since the last payout\n"},
		"no arguments":     {args: "drain rack-1", fails: `unknown command "rack-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				printed, err := command(t.Context(), &c.chain, strings.Fields(c.args)...)
				if printed != c.prints || !slices.Equal(c.chain.orders, c.orders) {
					t.Errorf("ordered %v, printed\n%swant %v and\n%s", c.chain.orders, printed, c.orders, c.prints)
				}
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("it says %v, want %q", err, c.fails)
				}
				if c.chain.bonds != c.bonds {
					t.Errorf("the bond was asked for %d times, want %d", c.chain.bonds, c.bonds)
				}
				if c.chain.closed != (c.args != "drain rack-1" && c.args != "earnings -o yaml") {
					t.Error("the connection is left open")
				}
			})
		})
	}
}

// Ctrl-C ends the wait, and the command says so; nothing is taken back.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := &onChain{status: active, vms: []uint32{2}}
		ended := make(chan error, 1)
		go func() {
			_, err := command(ctx, c, "drain", "--wait")
			ended <- err
		}()
		synctest.Wait() // it waits for the next look
		cancel()
		err := <-ended
		if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "rack-1 continues to drain, 2 VMs are left") {
			t.Errorf("it says %v", err)
		}
		if c.status != draining || len(c.orders) != 1 {
			t.Errorf("the miner is %s after %v", c.status, c.orders)
		}
	})
}

// At a terminal one line is written over, each time with its seconds.
func TestProgressAtATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &onChain{status: draining, vms: []uint32{1, 1, 0}}
		m, err := look(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := wait(t.Context(), c, m, newProgress(&out, true)); err != nil {
			t.Fatal(err)
		}
		if want := "\r      0s  1 VM is left\x1b[K\r      2s  1 VM is left\x1b[K\n"; out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	})
}
