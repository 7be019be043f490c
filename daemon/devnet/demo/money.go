package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hippius/compute/core/credit"
)

// Operator runs a miner of the network.
type Operator struct {
	// Program is the path of hippius-miner, Config the miner's settings.
	Program, Config string
}

// Operators of miners with settings files, who have the programs in a folder.
func Operators(bin string, settings []string) []Operator {
	list := make([]Operator, len(settings))
	for i, path := range settings {
		list[i] = Operator{Program: filepath.Join(bin, "hippius-miner"), Config: path}
	}
	return list
}

// accrueWait bounds how long a running VM may take to be charged more: its guest is heard every 30 s at the latest.
const accrueWait = 2 * time.Minute

// settle shows that what VMs cost accrues by the second, and is settled once it is older than the lag: hourly, or as here before a purchase.
func (d *demo) settle(ctx context.Context) error {
	if err := d.all(ctx, []string{"billing"}); err != nil {
		return err
	}
	var first, later, settled Billing
	if err := d.Tenant.JSON(ctx, &first, "billing"); err != nil {
		return err
	}
	for until := time.Now().Add(accrueWait); later.Accrued <= first.Accrued; {
		if time.Now().After(until) {
			return fmt.Errorf("%d ucredit accrued, and no more in %s", first.Accrued, accrueWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if err := d.Tenant.JSON(ctx, &later, "billing"); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(d.Out, "    accrued: %d ucredit, %d s later %d\n", first.Accrued, later.AsOf-first.AsOf, later.Accrued)
	if err := d.all(ctx, []string{"billing", "buy", "10"}); err != nil {
		return err
	}
	if err := d.Tenant.JSON(ctx, &settled, "billing"); err != nil {
		return err
	}
	// More accrues meanwhile, so only the sum of both tells whether anything was lost.
	if settled.Consumed <= first.Consumed || settled.Consumed+settled.Accrued < later.Consumed+later.Accrued {
		return fmt.Errorf("the purchase settled nothing, or lost something: consumed %d, then %d; accrued %d, then %d",
			first.Consumed, settled.Consumed, later.Accrued, settled.Accrued)
	}
	return nil
}

// split shows who got what was released.
func (d *demo) split(ctx context.Context) error {
	b, err := d.Audit(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.Out, "    %d uhip released for credits used: miners %d, validators and stakers %d, treasury %d\n",
		b.Released, b.Miners, b.Stakers, b.Treasury)
	if b.Miners+b.Stakers+b.Treasury != b.Released || b.Miners == 0 {
		return errors.New("the parts are not the whole")
	}
	return nil
}

// claims has the operators of the miners paid out what these earned: together, all that was released for miners.
func (d *demo) claims(ctx context.Context) error {
	var sum uint64
	for _, o := range d.Operators {
		var before, after struct {
			Accrued uint64 `json:"accrued_uhip"`
			Claimed uint64 `json:"claimed_uhip"`
		}
		if err := d.operator(ctx, o, &before, "earnings", "-o", "json"); err != nil {
			return err
		}
		if before.Accrued == 0 {
			continue
		}
		if err := d.operator(ctx, o, nil, "claim"); err != nil {
			return err
		}
		if err := d.operator(ctx, o, &after, "earnings", "-o", "json"); err != nil {
			return err
		}
		if after.Accrued != 0 || after.Claimed != before.Claimed+before.Accrued {
			return fmt.Errorf("%d uhip had accrued; paid out are %d, left %d", before.Accrued, after.Claimed-before.Claimed, after.Accrued)
		}
		sum += after.Claimed
	}
	b, err := d.Audit(ctx)
	if err == nil && len(d.Operators) > 0 && sum != b.Miners {
		err = fmt.Errorf("the miners were paid %d uhip, and %d were released for them", sum, b.Miners)
	}
	return err
}

// operator runs hippius-miner and reads its answer into v, or shows it if v is nil.
func (d *demo) operator(ctx context.Context, o Operator, v any, args ...string) error {
	cmd := exec.CommandContext(ctx, o.Program, append(args, "--config", o.Config)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("hippius-miner %s: %w: %s", words(args), err, strings.TrimSpace(stderr.String()))
	}
	if v != nil {
		return json.Unmarshal(stdout.Bytes(), v)
	}
	_, _ = fmt.Fprintf(d.Out, "  $ hippius-miner %s\n", words(args))
	_, err := (&indent{w: d.Out}).Write(stdout.Bytes())
	return err
}

// Audit checks the books of the whole network, and gives them.
type Audit func(ctx context.Context) (credit.Books, error)
