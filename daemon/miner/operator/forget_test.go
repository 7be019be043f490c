package operator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/forget"
)

func (c *onChain) Orders() *forget.Orders { return c.forgets }

func (c *onChain) VMAnywhere(context.Context, vm.ID) ([]vm.VM, error) {
	if c.down {
		return nil, client.ErrUnavailable
	}
	return c.known, nil
}

func TestForget(t *testing.T) {
	const id = "cc5e59988887338b010c8de8c8439d4e"
	held := func(miner string, p vm.Phase) []vm.VM {
		return []vm.VM{{}, {ID: id, Status: vm.Status{Miner: miner, Phase: p}}}
	}
	for name, c := range map[string]struct {
		chain  onChain
		args   string
		refuse string // by the miner
		silent bool   // the miner
		prints string
		fails  string
		given  bool // an order stays
	}{
		"a VM that the chain forgot": {args: id, prints: "nothing of VM " + id + " is on this host any more, but its disk in the trash, for 24 hours\n"},
		"one of another miner":       {chain: onChain{known: held("hip1other", vm.Running)}, args: id, prints: "nothing of VM " + id},
		"one that ended":             {chain: onChain{known: held(operatorAddress, vm.Terminated)}, args: id, prints: "nothing of VM " + id},
		"one that is held":           {chain: onChain{known: held(operatorAddress, vm.Stopped)}, args: id, fails: "VM " + id + " is stopped"},
		"the chain is away":          {chain: onChain{down: true}, args: id, fails: "every chain node of the profile must answer"},
		"the miner knows better":     {args: id, refuse: "the chain last said that this miner holds it", fails: "holds it"},
		"no miner runs":              {args: id, silent: true, fails: "is it running?", given: true},
		"no id":                      {args: "web-1", fails: "web-1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				orders := forget.New(dir)
				c.chain.forgets = orders
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if !c.silent {
					go answer(ctx, orders, c.refuse)
				}
				said, err := command(ctx, &c.chain, "forget", c.args)
				if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
					t.Errorf("failed with %v, want %q", err, c.fails)
				}
				if !strings.HasPrefix(said, c.prints) {
					t.Errorf("it printed %q, want %q", said, c.prints)
				}
				if orders.Given(id) != c.given {
					t.Errorf("an order is left: %t", orders.Given(id))
				}
			})
		})
	}
}

// answer is the miner: it carries every order out, or refuses it.
func answer(ctx context.Context, orders *forget.Orders, refuse string) {
	for ctx.Err() == nil {
		ids, err := orders.All()
		for _, id := range ids {
			if refuse == "" {
				err = errors.Join(err, orders.Done(id))
			} else {
				err = errors.Join(err, orders.Refuse(id, refuse))
			}
		}
		if err != nil {
			panic(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
