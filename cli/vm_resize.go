package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/tenant"
)

type resizeFlags struct {
	plan        string
	yes, dryRun bool
	waitFlags
}

func (c *command) vmResize() *cobra.Command {
	var f resizeFlags
	cmd := &cobra.Command{
		Use: "resize VM", Short: "Change the plan of a VM",
		Long: `Change a VM to the size of another plan, at the current price. A running VM is
restarted if CPU, memory or speeds change. If only the disk grows, it grows while
the VM runs, with the filesystem on it. A stopped VM gets its new size at the next
start. A disk is never shrunk: with a smaller plan it keeps its size and its price.

The VM stays on its host, which must have the capacity. The new price is charged
from the VM's first proof in its new size on.`,
		Example: `  hippius vm resize web-1 --plan pulse --dry-run
  hippius vm resize web-1 --plan pulse --wait
  hippius vm resize web-1 --plan pulse --yes`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runResize(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.plan, "plan", "", "change to this `PLAN`, see 'hippius plan ls'")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show the new size and price")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	f.register(cmd)
	c.completeFlags(cmd)
	return cmd
}

func (c *command) runResize(ctx context.Context, ref string, f resizeFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	r, err := c.planResize(ctx, ref, f)
	if err != nil {
		return err
	}
	if f.dryRun {
		return c.printResize(r)
	}
	ok, err := c.confirmed(ctx, f.yes, r.consequence(), r.question())
	if err != nil || !ok {
		return err
	}
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	restart, err := s.sender.ResizeVM(ctx, r.VM.ID, f.plan)
	if err != nil {
		return err
	}
	said, done := "gets its new size at the next start", isPhase(vm.Stopped)
	switch {
	case restart:
		said, done = "is restarted into its new size", hasSize
	case r.VM.Status.Phase.On():
		said, done = "gets its larger disk", hasSize
	}
	return c.afterChange(ctx, s, r.VM, f.waitFlags, done, said)
}

// hasSize says that a VM runs in the size that was ordered last.
func hasSize(v vm.VM) bool { return isRunning(v) && v.Resize == nil }

// resize is what a VM would become.
type resize struct {
	tenant.Resize
	// fits on its host, as it is now; checked for a dry run only; the chain decides.
	fits bool
}

// planResize does what needs no passphrase: it finds the VM and works out what would become of it under the plan.
func (c *command) planResize(ctx context.Context, ref string, f resizeFlags) (resize, error) {
	s, err := c.open()
	if err != nil {
		return resize{}, err
	}
	defer s.close()
	v, err := s.findVM(ctx, ref)
	if err != nil {
		return resize{}, err
	}
	var r resize
	if r.Resize, err = s.tenant.Resize(ctx, v, f.plan); err == nil && f.dryRun {
		r.fits, err = s.tenant.Fits(ctx, r.Resize)
	}
	return r, err
}

func (r resize) consequence() string {
	if r.Restart {
		return "resizing restarts " + r.VM.Spec.Name
	}
	return "resizing changes what " + r.VM.Spec.Name + " costs, and a grown disk cannot be shrunk"
}

func (r resize) question() string {
	verb := "Resize"
	if r.Restart {
		verb = "Restart"
	}
	return fmt.Sprintf("%s %s (%s) into %s, for %s credits an hour instead of %s?", verb, r.VM.Spec.Name, r.VM.Spec.MeshAddress,
		sizeText(r.To.VCPUs, r.To.MemoryMiB, r.To.DiskGiB), credit.Format(r.Rates.Running), credit.Format(r.VM.Rates.Running))
}

func sizeText(vcpus uint32, memoryMiB, diskGiB uint64) string {
	if vcpus == 0 {
		return ""
	}
	return fmt.Sprintf("%d vCPU, %s of memory, %d GiB of disk", vcpus, mib(memoryMiB), diskGiB)
}

// resizeText describes a resize that is not in effect yet.
func resizeText(v vmView) string {
	r := v.Resize
	if r == nil {
		return ""
	}
	when := "at the next start"
	switch {
	case r.Restart && v.Phase == vm.Rebooting.String():
		when = "after this restart"
	case v.Phase == vm.Running.String():
		when = "shortly"
	}
	return fmt.Sprintf("to %s, %s", sizeText(r.VCPUs, r.MemoryMiB, r.DiskGiB), when)
}

// quotedResize is what --dry-run prints.
type quotedResize struct {
	Plan    string     `json:"plan"`
	From    resizeView `json:"from"`
	To      resizeView `json:"to"`
	Restart bool       `json:"restart"`
	// Available says whether the host has the capacity.
	Available bool `json:"room"`
}

func (c *command) printResize(r resize) error {
	now := r.VM.Size
	q := quotedResize{
		Plan: r.Plan, Restart: r.Restart, Available: r.fits,
		From: resizeView{
			VCPUs: now.VCPUs, MemoryMiB: now.MemoryMiB, DiskGiB: now.DiskGiB,
			RunningRate: r.VM.Rates.Running, StoppedRate: r.VM.Rates.Stopped,
		},
		To: resizeView{
			VCPUs: r.To.VCPUs, MemoryMiB: r.To.MemoryMiB, DiskGiB: r.To.DiskGiB,
			RunningRate: r.Rates.Running, StoppedRate: r.Rates.Stopped, Restart: r.Restart,
		},
	}
	return c.print(q, func(w *tableWriter) {
		w.field("Now", sizeText(q.From.VCPUs, q.From.MemoryMiB, q.From.DiskGiB))
		w.field("New", sizeText(q.To.VCPUs, q.To.MemoryMiB, q.To.DiskGiB))
		w.field("Running", fmt.Sprintf("%s credits an hour, now %s", credit.Format(q.To.RunningRate), credit.Format(q.From.RunningRate)))
		w.field("Stopped", fmt.Sprintf("%s credits an hour, now %s", credit.Format(q.To.StoppedRate), credit.Format(q.From.StoppedRate)))
		switch {
		case r.Restart:
			w.field("Restart", "yes, at once")
		case r.VM.Status.Phase.On():
			w.field("Restart", "no")
		default:
			w.field("Restart", "no; it gets its new size at the next start")
		}
		if q.Available {
			w.field("Capacity", "available on its host")
		} else {
			w.field("Capacity", "not available on its host: choose a smaller plan, or create another VM")
		}
	})
}
