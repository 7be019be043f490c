// Package figures measures what a tenant waits for, beside the least it could be.
package figures

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
)

// Options of a measurement.
type Options struct {
	Tenant *demo.Tenant
	Net    *devnet.Net
	// Image by name on chain, and the same image's file.
	Image, ImageFile string
	Plan             string
	// Runs of each of the two, in turn.
	Runs int
	// Out takes the figures, Progress the rest.
	Out, Progress io.Writer

	account string
}

// Run measures create-to-SSH on the network against a bare start of the same
// image, in turn, and prints medians with each phase's part.
func Run(ctx context.Context, o Options) error {
	if o.Runs < 1 || o.Runs > 50 {
		return fmt.Errorf("%d runs: accepted are 1 to 50", o.Runs)
	}
	for _, call := range [][]string{
		{"login", "--network", o.Net.Profile()},
		{"billing", "buy", "100"},
		{"key", "add", "laptop", o.Tenant.Key() + ".pub"},
	} {
		if _, err := o.Tenant.Run(ctx, call...); err != nil {
			return err
		}
	}
	var who struct {
		Address string `json:"address"`
	}
	if err := o.Tenant.JSON(ctx, &who, "whoami"); err != nil {
		return err
	}
	o.account = who.Address
	bare, err := newBare(ctx, o)
	if err != nil {
		return err
	}
	var ours, theirs, ratios []float64
	phases := map[string][]float64{}
	// The first of each fills caches and does what is done once: it does not count.
	for i := range o.Runs + 1 {
		b, err := bare.run(ctx)
		if err != nil {
			return fmt.Errorf("bare start: %w", err)
		}
		r, err := rented(ctx, o, fmt.Sprintf("bench-%d", i))
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(o.Progress, "run %d: rented %.2f s, bare %.2f s\n", i, r.total.Seconds(), b.Seconds())
		if i == 0 {
			continue
		}
		ours, theirs = append(ours, r.total.Seconds()), append(theirs, b.Seconds())
		ratios = append(ratios, r.total.Seconds()/b.Seconds())
		for name, d := range r.phases {
			phases[name] = append(phases[name], float64(d.Milliseconds()))
		}
	}
	o.print("create_to_ssh_over_bare", median(ratios), "ratio")
	o.print("create_to_ssh", median(ours)*1000, "ms")
	o.print("bare_start_to_ssh", median(theirs)*1000, "ms")
	for _, name := range order {
		if v, ok := phases[name]; ok {
			o.print("phase_"+name, median(v), "ms")
		}
	}
	return nil
}

func (o Options) print(name string, value float64, unit string) {
	_, _ = fmt.Fprintf(o.Out, "%s %.3g %s\n", name, value, unit)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// order in which a machine goes through its phases, as they are printed.
var order = []string{"order", "pending", "assigned", "provisioning", "running"} //nolint:gochecknoglobals // a constant list

// measured is one machine from the order to its first command.
type measured struct {
	total  time.Duration
	phases map[string]time.Duration
}

// rented orders a machine, follows its phases and ends at its first command.
func rented(ctx context.Context, o Options, name string) (measured, error) {
	m := measured{phases: map[string]time.Duration{}}
	start := time.Now()
	if _, err := o.Tenant.Run(ctx, "vm", "create", name, "--plan", o.Plan, "--image", o.Image); err != nil {
		return m, err
	}
	m.phases["order"] = time.Since(start)
	last, since := "", time.Now()
	for last != "running" {
		v, err := o.Net.Chain().VMByName(ctx, o.account, name)
		if err != nil {
			return m, err
		}
		phase := strings.ToLower(strings.TrimPrefix(v.GetStatus().GetPhase().String(), "PHASE_"))
		if phase == "failed" {
			return m, fmt.Errorf("%s failed: %s: %s", name, v.GetStatus().GetReason(), v.GetStatus().GetMessage())
		}
		if phase != last {
			if last != "" {
				m.phases[last] = time.Since(since)
			}
			last, since = phase, time.Now()
		}
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	if _, err := o.Tenant.SSH(ctx, name, "true"); err != nil {
		return m, err
	}
	m.phases["running"] = time.Since(since)
	m.total = time.Since(start)
	_, err := o.Tenant.Run(ctx, "vm", "rm", name, "--yes", "--wait")
	return m, err
}
