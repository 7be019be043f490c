package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
)

// reshapePlans are small enough for any host that tests run on: mini, the
// same with a larger disk, and twice of everything.
func reshapePlans() []plan.Plan {
	mini := plan.Defaults()[0]
	mini.Name, mini.MemoryMiB, mini.DiskGiB, mini.Order = "mini", 1024, 4, 20
	roomy, twice := mini, mini
	roomy.Name, roomy.DiskGiB, roomy.Order = "roomy", 6, 21
	twice.Name, twice.VCPUs, twice.MemoryMiB, twice.DiskGiB, twice.Order = "twice", 2, 2048, 8, 22
	return []plan.Plan{mini, roomy, twice}
}

type reshapedView struct {
	Phase        string `json:"phase"`
	MeshAddress  string `json:"mesh_address"`
	Instance     uint32 `json:"instance"`
	RunningRate  uint64 `json:"running_ucredit_per_hour"`
	ChargedUnits uint64 `json:"charged_units"`
}

// reshape takes a real VM, re-1 on plan mini, through a larger disk without
// a restart, a larger VM with one, and a rebuild. Each login checks the
// host's key against the chain.
func reshape(ctx context.Context, u *demo.Tenant) error {
	var first, last reshapedView
	if err := u.JSON(ctx, &first, "vm", "show", "re-1"); err != nil {
		return err
	}
	const bootID = "cat /proc/sys/kernel/random/boot_id"
	boot, err := u.SSH(ctx, "re-1", "echo kept > note; sync; "+bootID)
	if err != nil {
		return err
	}

	// The disk grows under the running VM, and its filesystem with it.
	if _, err := u.Run(ctx, "vm", "resize", "re-1", "--plan", "roomy", "--yes", "--wait"); err != nil {
		return err
	}
	if err := wantRoot(ctx, u, 6); err != nil {
		return err
	}
	if out, err := u.SSH(ctx, "re-1", bootID); err != nil || out != boot {
		return fmt.Errorf("a larger disk restarted the VM: boot %q, was %q, %w", out, boot, err)
	}

	// CPU and memory come with a restart.
	if _, err := u.Run(ctx, "vm", "resize", "re-1", "--plan", "twice", "--yes", "--wait"); err != nil {
		return err
	}
	if err := wantRoot(ctx, u, 8); err != nil {
		return err
	}
	out, err := u.SSH(ctx, "re-1", "nproc; awk '/MemTotal/ { print $2 }' /proc/meminfo; cat note; "+bootID)
	if err != nil {
		return err
	}
	f := strings.Fields(out)
	if len(f) != 4 || f[0] != "2" || f[2] != "kept" || f[3] == strings.TrimSpace(boot) {
		return fmt.Errorf("in its new size the VM says %q", out)
	}
	if kib, err := strconv.ParseUint(f[1], 10, 64); err != nil || kib < 1_700_000 || kib > 2<<20 {
		return fmt.Errorf("it has %s KiB of memory, %w", f[1], err)
	}

	// Rebuilt, it has its address and nothing of what was on its disk.
	if _, err := u.Run(ctx, "vm", "rebuild", "re-1", "--image", "tiny", "--yes", "--wait"); err != nil {
		return err
	}
	if out, err := u.SSH(ctx, "re-1", "ls; hostname; ip -4 -o address"); err != nil || strings.Contains(out, "note") ||
		!strings.Contains(out, "re-1\n") || !strings.Contains(out, first.MeshAddress+"/") {
		return fmt.Errorf("rebuilt, the VM says %q, %w", out, err)
	}
	if err := wantRoot(ctx, u, 8); err != nil {
		return err
	}
	if err := u.JSON(ctx, &last, "vm", "show", "re-1"); err != nil {
		return err
	}
	if last.MeshAddress != first.MeshAddress || last.Instance != first.Instance+1 || last.RunningRate <= first.RunningRate {
		return fmt.Errorf("the VM was %+v and is %+v", first, last)
	}
	return nil
}

// wantRoot waits until the guest sees a disk of so many GiB and its root filesystem fills it.
func wantRoot(ctx context.Context, u *demo.Tenant, gib uint64) error {
	const sectorsPerGiB = 1 << 21
	var out string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		var err error
		if out, err = u.SSH(ctx, "re-1", "cat /sys/class/block/vda/size; df -m / | awk 'END { print $2 }'"); err != nil {
			return err
		}
		f := strings.Fields(out)
		if len(f) != 2 || f[0] != strconv.FormatUint(gib*sectorsPerGiB, 10) {
			return fmt.Errorf("the guest sees a disk of %q sectors, want %d", out, gib*sectorsPerGiB)
		}
		// The filesystem keeps some for itself.
		if mib, err := strconv.ParseUint(f[1], 10, 64); err == nil && mib > gib*1024*9/10 && mib < gib*1024 {
			return nil
		}
	}
	return fmt.Errorf("the root filesystem does not follow its disk of %d GiB: %q", gib, out)
}

// wantBill compares the account's bill with what its VMs were charged at whatever rates.
func wantBill(ctx context.Context, u *demo.Tenant, n *devnet.Net) error {
	var vms []reshapedView
	if err := u.JSON(ctx, &vms, "vm", "ls", "--all"); err != nil {
		return err
	}
	var bill demo.Billing
	if err := u.JSON(ctx, &bill, "billing"); err != nil {
		return err
	}
	var units uint64
	for _, v := range vms {
		units += v.ChargedUnits
	}
	if bill.Consumed+bill.Accrued != units/3600 || bill.Rate != 0 {
		return fmt.Errorf("charged are %d ucredit at a rate of %d; the VMs cost %d units", bill.Consumed+bill.Accrued, bill.Rate, units)
	}
	_, err := n.Audit(ctx)
	return err
}
