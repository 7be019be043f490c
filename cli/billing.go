package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/onramp"
)

// onRampTimeout is how long a purchase may take.
const onRampTimeout = 2 * time.Minute

type billingView struct {
	Balance        uint64 `json:"balance_ucredit"`
	Accrued        uint64 `json:"accrued_ucredit"`
	Rate           uint64 `json:"ucredit_per_hour"`
	Holdback       uint64 `json:"holdback_ucredit"`
	Consumed       uint64 `json:"consumed_ucredit"`
	Fees           uint64 `json:"fees_since_purchase_ucredit"`
	RunwaySeconds  uint64 `json:"runway_seconds,omitempty"`
	Charged        bool   `json:"charged"`
	RanOutAt       int64  `json:"ran_out_at,omitempty"`
	DiskSeconds    uint64 `json:"disk_seconds,omitempty"` // how long the balance pays for the disks, once it ran out
	AsOfBlock      int64  `json:"as_of"`
	SpendableNow   uint64 `json:"spendable_ucredit"`
	AccountAddress string `json:"account"`
	// Sold is what a credit costs now, Released the most one releases to those that serve, both in uhip.
	Sold     uint64 `json:"uhip_per_credit_sold"`
	Released uint64 `json:"uhip_per_credit_released"`
	// Coverage of all credits by the network's reserve, in parts of 10 000, if there are any credits.
	Coverage *uint64 `json:"coverage,omitempty"`
}

func (c *command) billing() *cobra.Command {
	cmd := &cobra.Command{
		Use: "billing", GroupID: groupAccount, Short: "Balance, rate and runway",
		Long: `Show the balance, the current rate per hour, the accrued charge, and how long the
balance lasts. VMs are stopped when the balance reaches the hold-back, which pays
for their disks.`,
		Example: "  hippius billing\n  hippius billing buy 20",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.printBilling(cmd.Context()) },
	}
	cmd.AddCommand(c.billingBuy())
	return cmd
}

func (c *command) printBilling(ctx context.Context) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.close()
	m, err := s.chain.Statement(ctx, s.address)
	if err != nil {
		return err
	}
	account, err := s.chain.Balance(ctx, s.address)
	if err != nil {
		return err
	}
	v := billingView{
		AccountAddress: s.address, Balance: m.Balance, Accrued: m.Accrued,
		Rate: m.PerHour, Holdback: m.Holdback, Consumed: m.Meter.Consumed, Fees: account.FeesSincePurchase,
		RunwaySeconds: m.RunwaySeconds, Charged: m.HasRunway, RanOutAt: m.Meter.RanOutAt, AsOfBlock: m.BlockTime,
	}
	if m.Meter.RanOutAt != 0 {
		v.DiskSeconds, _ = m.Meter.Runway(m.Balance, 0)
	}
	if err := c.addMarket(ctx, s, &v); err != nil {
		return err
	}
	if owed := v.Accrued + v.Holdback; v.Balance > owed {
		v.SpendableNow = v.Balance - owed
	}
	return c.print(v, func(w *tableWriter) {
		w.field("Balance", credit.Format(v.Balance)+" credits")
		w.field("Accrued", credit.Format(v.Accrued)+" credits, not settled yet")
		w.field("Hold-back", credit.Format(v.Holdback)+" credits, for the disks of stopped VMs")
		w.field("Rate", credit.Format(v.Rate)+" credits an hour")
		if v.Charged {
			w.field("Runway", duration(time.Duration(min(v.RunwaySeconds, 1<<32))*time.Second))
		} else {
			w.field("Runway", "nothing is charged")
		}
		w.field("Spent so far", credit.Format(v.Consumed)+" credits on VMs")
		w.field("Fees", credit.Format(v.Fees)+" credits for transactions since the last purchase")
		w.field("Price", fmt.Sprintf("%d uhip for a credit; lowest of 7 days %d", v.Sold, v.Released))
		if v.Coverage != nil {
			w.field("Coverage", fmt.Sprintf("%d.%02d %% of all credits", *v.Coverage/100, *v.Coverage%100))
		}
		if v.RanOutAt != 0 {
			w.field("Ran out", when(v.RanOutAt)+"; VMs are stopped. Buy credits, then start them")
			w.field("Disks are kept", duration(time.Duration(min(v.DiskSeconds, 1<<32))*time.Second)+", then the VMs are terminated")
		}
	})
}

// addMarket adds what credits cost, and what the network holds behind them.
func (c *command) addMarket(ctx context.Context, s *session, v *billingView) error {
	prices, err := s.chain.Prices(ctx)
	if err != nil {
		return err
	}
	books, err := s.chain.Books(ctx)
	if err != nil {
		return err
	}
	v.Sold, v.Released = prices.Highest, prices.Lowest
	if books.Outstanding() == 0 {
		return nil
	}
	coverage, err := books.Coverage(prices.Current)
	if err != nil {
		return err
	}
	v.Coverage = &coverage
	return nil
}

func (c *command) billingBuy() *cobra.Command {
	var withUhip bool
	var reference string
	cmd := &cobra.Command{
		Use:   "buy CREDITS",
		Short: "Buy credits",
		Long: `Buy credits from the network's on-ramp, or with the account's own coins
(--with-uhip). One credit is worth one US dollar. The fee of the purchase
transaction, less than a cent, is paid from the purchased credits.`,
		Example: "  hippius billing buy 20\n  hippius billing buy 100 --with-uhip",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := parseCredits(args[0])
			if err != nil {
				return err
			}
			if amount == 0 {
				return usagef("buy more than 0 credits")
			}
			if withUhip {
				err = c.buyWithUhip(cmd.Context(), amount, reference)
			} else {
				err = c.buyFromOnRamp(cmd.Context(), amount, reference)
			}
			if err != nil {
				return err
			}
			return c.printBilling(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&withUhip, "with-uhip", false, "pay with the account's own uhip")
	cmd.Flags().StringVar(&reference, "reference", "", "idempotency key: a purchase repeated with the same `WORD` buys only once")
	return cmd
}

func (c *command) buyWithUhip(ctx context.Context, ucredit uint64, reference string) error {
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.chain.Prices(ctx)
	if err != nil {
		return err
	}
	uhip, err := credit.Cost(ucredit, p.Highest)
	if err != nil {
		return usagef("%s credits are more than can be bought at once", credit.Format(ucredit))
	}
	_, err = s.sender.Buy(ctx, s.address, uhip, reference)
	return err
}

func (c *command) buyFromOnRamp(ctx context.Context, ucredit uint64, reference string) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.close()
	url := s.chain.Network().OnRamp
	if url == "" {
		return withHint(errors.New("this network has no on-ramp"), "buy with the account's own coins: --with-uhip")
	}
	if reference == "" {
		reference = randomReference()
	}
	order := onramp.Order{Recipient: s.address, Ucredit: ucredit, Reference: reference}
	answer, err := sendOrder(ctx, url, order)
	if err != nil {
		return withHint(err, "if it is unclear whether the purchase was made, repeat it with --reference %s: it buys only once", reference)
	}
	if answer.Error != "" {
		return fmt.Errorf("the on-ramp refused: %s", clean(answer.Error))
	}
	return nil
}

func randomReference() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func sendOrder(ctx context.Context, url string, order onramp.Order) (onramp.Answer, error) {
	var answer onramp.Answer
	body, err := json.Marshal(order)
	if err != nil {
		return answer, fmt.Errorf("encode order: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, onRampTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(url, "/")+onramp.Path, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("ask on-ramp: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, fmt.Errorf("ask on-ramp: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := onramp.Decode(resp.Body, &answer); err != nil {
		return answer, fmt.Errorf("on-ramp at %s answered %s: %w", url, resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK && answer.Error == "" {
		return answer, fmt.Errorf("on-ramp at %s answered %s", url, resp.Status)
	}
	return answer, nil
}
