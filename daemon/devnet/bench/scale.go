package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/internal/wallet"
)

const (
	// scaleVMs on one miner, of two tenants: one has addresses for 46.
	scaleVMs    = 50
	scaleWithin = 4 * time.Minute
	// scaleOps are asked for one after the other, without waiting for their blocks.
	scaleOps = 500
	// calm after the last VM came up.
	calm = 5 * time.Second
)

// Scale measures one miner with many VMs, which are simulated, and how many
// orders concerning VMs the chain takes. All programs are processes.
func Scale(ctx context.Context, o Options, tenants [2]*demo.Tenant) error {
	ctx, cancel := context.WithTimeout(ctx, scaleWithin)
	defer cancel()
	var g errgroup.Group
	for i, t := range tenants {
		g.Go(func() error {
			if err := o.settle(ctx, t); err != nil {
				return err
			}
			for j := range scaleVMs / len(tenants) {
				if _, err := t.Run(ctx, "vm", "create", fmt.Sprintf("many-%d-%d", i, j), "--plan", o.Plan, "--image", o.Image); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var all []vm.VM
	for _, t := range tenants {
		owner, err := account(ctx, t)
		if err != nil {
			return err
		}
		vms, err := o.allRun(ctx, owner)
		if err != nil {
			return err
		}
		all = append(all, vms...)
	}
	time.Sleep(calm)
	rss, err := residentMB(o.Net.PID("miner0"))
	if err != nil {
		return err
	}
	o.print("miner_rss_mb_50_fake_vms", rss, "MB")
	return o.chainOps(ctx, tenants[0], all[:scaleVMs/len(tenants)])
}

// allRun waits until every VM of an account runs.
func (o Options) allRun(ctx context.Context, owner string) ([]vm.VM, error) {
	for {
		vms, err := o.Net.Chain().VMs(ctx, owner, false)
		if err != nil {
			return nil, err
		}
		up := 0
		for _, v := range vms {
			if v.Status.Phase == vm.Running {
				up++
			}
		}
		if up == len(vms) {
			return vms, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d VMs run: %w", up, len(vms), ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// chainOps has an account rename its VMs again and again, and counts how
// many of that blocks hold a second.
func (o Options) chainOps(ctx context.Context, t *demo.Tenant, vms []vm.VM) error {
	pass, err := wallet.ReadPassphrase(t.PassphraseFile())
	if err != nil {
		return err
	}
	w, err := wallet.File{Path: filepath.Join(t.Home(), "wallet.json")}.Open(pass)
	if err != nil {
		return err
	}
	sender := o.Net.Chain().NewSender(w)
	hashes := make([]string, scaleOps)
	start := time.Now()
	for i := range hashes {
		if hashes[i], err = sender.BroadcastRename(ctx, vms[i%len(vms)].ID, fmt.Sprintf("op-%d", i)); err != nil {
			return fmt.Errorf("order %d: %w", i, err)
		}
	}
	for _, h := range []string{hashes[0], hashes[len(hashes)-1]} { // in order, as their numbers are
		if _, err := o.Net.Chain().WaitTx(ctx, h); err != nil {
			return err
		}
	}
	took := time.Since(start)
	for _, h := range hashes {
		if _, err := o.Net.Chain().WaitTx(ctx, h); err != nil {
			return err // one that failed is no order that was taken
		}
	}
	o.print("chain_vm_ops_per_second_one_account", scaleOps/took.Seconds(), "1/s")
	return nil
}

// residentMB is the memory a process holds.
func residentMB(pid int) (float64, error) {
	if pid == 0 {
		return 0, errors.New("the miner is not a process")
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d tells no memory", pid)
}
