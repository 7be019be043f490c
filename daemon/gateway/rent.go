package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hippius/compute/core/mesh"
)

const (
	day = 24 * time.Hour
	// rentEvery is how often the end of the rent is looked at.
	rentEvery = 10 * time.Minute
)

// errAddressLost ends the gateway when its address is no longer its own: it starts again with a new one.
var errAddressLost = errors.New("the lighthouse has another address now, because its rent was not paid for long; start again")

// payRent renews the rent until ctx ends. What fails is logged and tried again.
func (g *gateway) payRent(ctx context.Context) error {
	tick := time.NewTicker(rentEvery)
	defer tick.Stop()
	for {
		if err := g.renew(ctx, time.Now()); errors.Is(err, errAddressLost) {
			return err
		} else if err != nil && ctx.Err() == nil {
			g.log.Error("renew the lighthouse's rent", "paid_until", time.Unix(g.paidUntil.Load(), 0).UTC(), "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// renew pays the rent anew if it ends within the setting's days, also for a lighthouse that left the set.
func (g *gateway) renew(ctx context.Context, now time.Time) error {
	mine, found, err := g.mine(ctx)
	if err != nil {
		return err
	}
	if found {
		g.paidUntil.Store(mine.ExpiresAt)
	}
	if days := g.set.daysToPay(mine, now); days > 0 {
		at, until, err := g.chain.NewSender(g.wallet).RegisterLighthouse(ctx, g.published, days)
		if err != nil {
			return fmt.Errorf("pay %d days: %w", days, err)
		}
		g.paidUntil.Store(until)
		g.log.Info("rent paid", "paid_until", time.Unix(until, 0).UTC())
		if at != g.published.Address {
			return errAddressLost
		}
	}
	return nil
}

// daysToPay is how many days of rent to pay now: none until the rent that is paid falls below RenewDays, then as many as
// make it RentDays.
func (c *Config) daysToPay(mine mesh.Lighthouse, now time.Time) uint32 {
	left := max(time.Unix(mine.ExpiresAt, 0).Sub(now), 0)
	if left >= time.Duration(c.RenewDays)*day {
		return 0
	}
	return c.RentDays - uint32((left+day-time.Second)/day) // what is paid for a part of a day counts as a day
}
