// Package operator has what a miner's operator tells the chain, and asks it, from the miner's host: to take no new machines,
// to give the bond back, to pay the earnings out.
package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	rankingv1 "github.com/hippius/compute/api/chain/ranking/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/daemon/miner"
)

const (
	// pollEvery is how often the chain is asked for how many machines are left.
	pollEvery = 2 * time.Second

	active    = registryv1.MinerStatus_MINER_STATUS_ACTIVE
	draining  = registryv1.MinerStatus_MINER_STATUS_DRAINING
	unbonding = registryv1.MinerStatus_MINER_STATUS_UNBONDING
	gone      = registryv1.MinerStatus_MINER_STATUS_GONE
)

// Chain is what an operator tells the chain and asks it. Orders are of the operator's own miner.
type Chain interface {
	Miner(ctx context.Context, operator string) (*registryv1.Miner, error)
	DrainMiner(ctx context.Context, undo bool) error
	UnbondMiner(ctx context.Context) error
	// Address of the operator.
	Address() string
	Close() error
	Purse
}

// Purse is an operator's money.
type Purse interface {
	Earnings(ctx context.Context, operator string) (*rankingv1.Earnings, error)
	// ClaimEarnings gives what was paid out, in uhip.
	ClaimEarnings(ctx context.Context) (uint64, error)
	// Uhip is what the account can spend.
	Uhip(ctx context.Context, address string) (uint64, error)
}

// errors that end a wait.
var (
	errEnded    = errors.New("the wait was ended")
	errTakesNew = errors.New("it was told to take new machines again")
)

// order makes the chain say that the miner drains, or with undo that it does not, and gives the miner. To order what is
// so already is no error.
func order(ctx context.Context, c Chain, undo bool) (m *registryv1.Miner, changed bool, err error) {
	if m, err = look(ctx, c); err != nil {
		return nil, false, err
	}
	from, to := active, draining
	if undo {
		from, to = to, from
	}
	if m.GetStatus() == to {
		return m, false, nil
	}
	if m.GetStatus() != from {
		return nil, false, fmt.Errorf("%s is %s: it takes no machines; start the miner to have it registered anew, once its bond is back",
			m.GetName(), miner.StatusWord(m.GetStatus()))
	}
	if err := c.DrainMiner(ctx, undo); err != nil {
		return nil, false, err
	}
	m, err = look(ctx, c)
	return m, true, err
}

func look(ctx context.Context, c Chain) (*registryv1.Miner, error) {
	m, err := c.Miner(ctx, c.Address())
	if errors.Is(err, client.ErrNotFound) {
		return nil, fmt.Errorf("account %s has registered no miner; a miner registers itself at its first start", c.Address())
	}
	return m, err
}

// wait shows how many machines are left until there is none. The draining goes on however the wait ends. A chain that
// does not answer is asked again.
func wait(ctx context.Context, c Chain, m *registryv1.Miner, p *progress) error {
	defer p.end()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		switch {
		case m.GetStatus() == active:
			return fmt.Errorf("%s does not become empty: %w", m.GetName(), errTakesNew)
		case m.GetUsage().GetVms() == 0:
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

func ended(m *registryv1.Miner) error {
	return fmt.Errorf("%w: %s goes on draining, %s; 'hippius-miner drain --wait' waits again, 'hippius-miner undrain' takes new machines", errEnded, m.GetName(), left(m))
}

// left says how many machines a miner still has.
func left(m *registryv1.Miner) string {
	switch n := m.GetUsage().GetVms(); n {
	case 0:
		return "no machine is left"
	case 1:
		return "1 machine is left"
	default:
		return fmt.Sprintf("%d machines are left", n)
	}
}
