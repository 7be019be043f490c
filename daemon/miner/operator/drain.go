// Package operator has what a miner's operator tells the chain, and asks it, from the miner's host: to take no new VMs,
// to give the bond back, to pay the earnings out.
package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/node"
)

const (
	// pollEvery is how often the chain is asked for how many VMs are left.
	pollEvery = 2 * time.Second

	active    = node.Active
	draining  = node.Draining
	unbonding = node.Unbonding
	gone      = node.Gone
)

// Chain is what an operator tells the chain and asks it. Orders are of the operator's own miner.
type Chain interface {
	Miner(ctx context.Context, operator string) (node.Miner, error)
	DrainMiner(ctx context.Context, undo bool) error
	UnbondMiner(ctx context.Context) error
	// Address of the operator.
	Address() string
	Close() error
	Purse
	Host
}

// Purse is an operator's money.
type Purse interface {
	Earnings(ctx context.Context, operator string) (credit.Earnings, error)
	// ClaimEarnings gives what was paid out, in uhip.
	ClaimEarnings(ctx context.Context) (uint64, error)
	// Uhip is what the account can spend.
	Uhip(ctx context.Context, address string) (uint64, error)
}

// errors that end a wait.
var (
	errEnded    = errors.New("the wait was ended")
	errTakesNew = errors.New("it was ordered to take new VMs again (undrain)")
)

// order makes the chain say that the miner drains, or with undo that it does not, and gives the miner. To order what is
// so already is no error.
func order(ctx context.Context, c Chain, undo bool) (m node.Miner, changed bool, err error) {
	if m, err = look(ctx, c); err != nil {
		return node.Miner{}, false, err
	}
	from, to := active, draining
	if undo {
		from, to = to, from
	}
	if m.Status == to {
		return m, false, nil
	}
	if m.Status != from {
		return node.Miner{}, false, fmt.Errorf("%s is %s: it takes no VMs; start the miner again after its bond was returned; it then registers again",
			m.Name, m.Status)
	}
	if err := c.DrainMiner(ctx, undo); err != nil {
		return node.Miner{}, false, err
	}
	m, err = look(ctx, c)
	return m, true, err
}

func look(ctx context.Context, c Chain) (node.Miner, error) {
	m, err := c.Miner(ctx, c.Address())
	if errors.Is(err, client.ErrNotFound) {
		return node.Miner{}, fmt.Errorf("account %s has registered no miner; a miner registers itself at its first start", c.Address())
	}
	return m, err
}

// wait shows how many VMs are left until there is none. The draining goes on however the wait ends. A chain that
// does not answer is asked again.
func wait(ctx context.Context, c Chain, m node.Miner, p *progress) error {
	defer p.end()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		switch {
		case m.Status == active:
			return fmt.Errorf("%s does not become empty: %w", m.Name, errTakesNew)
		case m.Usage.VMs == 0:
			return nil
		}
		p.show(left(m))
		select {
		case <-ctx.Done():
			return ended(m)
		case <-poll.C:
		}
		now, err := look(ctx, c)
		switch {
		case err == nil:
			m = now
		case ctx.Err() != nil:
			return ended(m)
		case !errors.Is(err, client.ErrUnavailable):
			return err
		}
	}
}

func ended(m node.Miner) error {
	return fmt.Errorf("%w: %s continues to drain, %s; 'hippius-miner drain --wait' waits again, 'hippius-miner undrain' takes new VMs", errEnded, m.Name, left(m))
}

// left says how many VMs a miner still has.
func left(m node.Miner) string {
	switch n := m.Usage.VMs; n {
	case 0:
		return "no VM is left"
	case 1:
		return "1 VM is left"
	default:
		return fmt.Sprintf("%d VMs are left", n)
	}
}
