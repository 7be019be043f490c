package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hippius/compute/core/vm"
)

// compare measures create-to-SSH against a bare start of the same image, in
// turn, and prints medians with each phase's part.
func compare(ctx context.Context, o Options, bare *bareVM) error {
	var ours, theirs, ratios, blocks []float64
	phases := map[string][]float64{}
	// The first of each fills caches and does what is done once: it does not count.
	for i := range o.Runs + 1 {
		b, err := bare.run(ctx)
		if err != nil {
			return fmt.Errorf("bare start: %w", err)
		}
		name := fmt.Sprintf("bench-%d", i)
		r, err := rented(ctx, o, name)
		if err != nil {
			return err
		}
		if _, err := o.Tenant.Run(ctx, "vm", "rm", name, "--yes", "--wait"); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(o.Progress, "run %d: rented %.2f s (%s), bare %.2f s\n", i, r.total.Seconds(), r.told(), b.Seconds())
		if i == 0 {
			continue
		}
		ours, theirs = append(ours, r.total.Seconds()), append(theirs, b.Seconds())
		ratios, blocks = append(ratios, r.total.Seconds()/b.Seconds()), append(blocks, float64(r.blocks))
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
	o.print("create_tx_to_domain_started_blocks", median(blocks), "blocks")
	return nil
}

// order in which a VM goes through its phases, as they are printed.
var order = []string{"order", "pending", "assigned", "provisioning", "running"} //nolint:gochecknoglobals // a constant list

// measured is one VM from the order to its first command.
type measured struct {
	total  time.Duration
	phases map[string]time.Duration
	// blocks from the one with the order to the one in which its process was seen.
	blocks int64
}

// told is each phase with its seconds.
func (m measured) told() string {
	var parts []string
	for _, name := range order {
		if d, ok := m.phases[name]; ok {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, d.Seconds()))
		}
	}
	return strings.Join(parts, ", ")
}

// rented orders a VM, follows its phases and ends at its first command.
func rented(ctx context.Context, o Options, name string) (measured, error) {
	m := measured{phases: map[string]time.Duration{}}
	start := time.Now()
	if _, err := o.Tenant.Run(ctx, "vm", "create", name, "--plan", o.Plan, "--image", o.Image); err != nil {
		return m, err
	}
	m.phases["order"] = time.Since(start)
	last, since, ordered := "", time.Now(), int64(0)
	for last != "running" {
		v, err := o.Net.Chain().VMByName(ctx, o.account, name)
		if err != nil {
			return m, err
		}
		if ordered == 0 {
			ordered = v.ChangedHeight
		}
		if m.blocks == 0 && hasProcess(o, v.Status.Miner, v.ID) {
			head, err := o.Net.Chain().Head(ctx)
			if err != nil {
				return m, err
			}
			m.blocks = head.Height - ordered
		}
		phase := v.Status.Phase.String()
		if v.Status.Phase == vm.Failed {
			return m, fmt.Errorf("%s failed: %s: %s", name, v.Status.Reason, v.Status.Message)
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
	return m, nil
}

// hasProcess tells whether a miner's libvirtd runs the VM: QEMU writes its
// pid when it has started.
func hasProcess(o Options, miner string, id vm.ID) bool {
	name, i, ok := o.Net.MinerName(miner)
	if !ok {
		return false
	}
	_, err := os.Stat(filepath.Join(o.Net.Lab(i).LibvirtRunDir(), "qemu", "hip-"+name+"-"+string(id)+".pid"))
	return err == nil
}
