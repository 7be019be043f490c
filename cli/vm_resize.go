package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
	core "github.com/hippius/compute/core/vm"
)

type resizeFlags struct {
	plan        string
	yes, dryRun bool
	waitFlags
}

func (c *command) vmResize() *cobra.Command {
	var f resizeFlags
	cmd := &cobra.Command{
		Use: "resize VM", Short: "Give a machine the size of another plan",
		Long: `Give a machine the size of another plan, at today's price. A running machine is
restarted for CPU, memory and speeds; a larger disk alone grows while it runs, and
the filesystem on it follows. A stopped machine takes its size with its next start.
A disk is never shrunk: under a smaller plan it stays, and is paid for, as it is.

The machine stays on its host, which must have room. The new price is charged from
the machine's first proof of life in its new size on.`,
		Example: `  hippius vm resize web-1 --plan pulse --dry-run
  hippius vm resize web-1 --plan pulse --wait
  hippius vm resize web-1 --plan pulse --yes`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runResize(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.plan, "plan", "", "the size of this `PLAN`, see 'hippius plan ls'")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show what it would be, and cost")
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
	ok, err := c.wants(ctx, f.yes, r.grave(), r.question())
	if err != nil || !ok {
		return err
	}
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	restart, err := s.sender.ResizeVM(ctx, r.vm.GetId(), f.plan)
	if err != nil {
		return err
	}
	said, done := "takes its new size with its next start", isPhase(computev1.Phase_PHASE_STOPPED)
	switch {
	case restart:
		said, done = "is restarted into its new size", hasSize
	case isUp(r.vm.GetStatus().GetPhase()):
		said, done = "gets its larger disk", hasSize
	}
	return c.afterChange(ctx, s, r.vm, f.waitFlags, done, said)
}

// hasSize says that a machine runs in the size that was ordered last.
func hasSize(vm *computev1.VM) bool { return isRunning(vm) && vm.GetResize() == nil }

// resize is what a machine would become.
type resize struct {
	vm      *computev1.VM
	plan    string
	to      plan.Plan
	rates   plan.Rates
	restart bool
	// fits on its host, as it is now; looked at for a dry run alone, for the chain has the last word.
	fits bool
}

// planResize does what needs no passphrase: it finds the machine and the plan,
// and works out by the chain's own rules what would become of the one under the other.
func (c *command) planResize(ctx context.Context, ref string, f resizeFlags) (resize, error) {
	s, err := c.open()
	if err != nil {
		return resize{}, err
	}
	defer s.close()
	vm, err := s.findVM(ctx, ref)
	if err != nil {
		return resize{}, err
	}
	chosen, err := s.choosePlan(ctx, f.plan)
	if err != nil {
		return resize{}, err
	}
	if err := allowed(vm, core.Resize); err != nil {
		return resize{}, err
	}
	p, err := s.chain.Params(ctx)
	if err != nil {
		return resize{}, err
	}
	r := resize{vm: vm, plan: f.plan, to: planOf(chosen).Keeping(wantedSize(vm).GetDiskGib())}
	if r.rates, err = pricesOf(p.Marketplace).Quote(r.to); err != nil {
		return resize{}, fmt.Errorf("price of plan %q: %w", f.plan, err)
	}
	now := sizePlan(vm.GetSize())
	if vm.GetResize() == nil && plan.SameSize(now, r.to) && r.rates == (plan.Rates{Running: vm.GetRunningRate(), Stopped: vm.GetStoppedRate()}) {
		return resize{}, withHint(fmt.Errorf("%s has the size of plan %q already", vm.GetSpec().GetName(), f.plan), "see 'hippius plan ls'")
	}
	if f.dryRun {
		if r.fits, err = s.fits(ctx, vm, r.to, p.Registry.GetCpuOvercommit()); err != nil {
			return resize{}, err
		}
	}
	r.restart = isUp(vm.GetStatus().GetPhase()) && plan.NeedsRestart(now, r.to)
	return r, nil
}

// allowed says in the chain's words why a machine cannot be asked for something as it is.
func allowed(vm *computev1.VM, ev core.Event) error {
	s := vm.GetStatus()
	_, err := core.Next(core.State{
		Phase: core.Phase(s.GetPhase()), Held: s.GetMiner() != "", HasData: s.GetHasData(),
		On: vm.GetSpec().GetPower() == computev1.Power_POWER_ON,
	}, ev, core.Tenant)
	if err != nil {
		return withHint(err, "see 'hippius vm show %s'", vm.GetSpec().GetName())
	}
	return nil
}

// wantedSize of a machine, once what was ordered is in effect.
func wantedSize(vm *computev1.VM) *computev1.Size {
	if r := vm.GetResize(); r != nil {
		return r.GetSize()
	}
	return vm.GetSize()
}

func planOf(p *marketplacev1.Plan) plan.Plan {
	return plan.Plan{
		Name: p.GetName(), VCPUs: p.GetVcpus(), MemoryMiB: p.GetMemoryMib(), DiskGiB: p.GetDiskGib(), IOPS: p.GetIops(),
		DiskBytesPerSecond: p.GetDiskBytesPerSecond(), NetworkBitsPerSecond: p.GetNetworkBitsPerSecond(), Order: p.GetOrder(),
	}
}

func sizePlan(s *computev1.Size) plan.Plan {
	return plan.Plan{
		VCPUs: s.GetVcpus(), MemoryMiB: s.GetMemoryMib(), DiskGiB: s.GetDiskGib(), IOPS: s.GetIops(),
		DiskBytesPerSecond: s.GetDiskBytesPerSecond(), NetworkBitsPerSecond: s.GetNetworkBitsPerSecond(),
	}
}

func pricesOf(p *marketplacev1.Params) plan.Prices {
	return plan.Prices{VCPU: p.GetVcpuHourUcredit(), MemoryGiB: p.GetMemoryGibHourUcredit(), DiskGiB: p.GetDiskGibHourUcredit()}
}

func (r resize) grave() string {
	if r.restart {
		return "resizing restarts " + r.vm.GetSpec().GetName()
	}
	return "resizing changes what " + r.vm.GetSpec().GetName() + " costs, and a disk that has grown stays so"
}

func (r resize) question() string {
	verb := "Resize"
	if r.restart {
		verb = "Restart"
	}
	return fmt.Sprintf("%s %s (%s) into %s, for %s credits an hour instead of %s?", verb, r.vm.GetSpec().GetName(), r.vm.GetSpec().GetMeshAddress(),
		sizeText(r.to.VCPUs, r.to.MemoryMiB, r.to.DiskGiB), credit.Format(r.rates.Running), credit.Format(r.vm.GetRunningRate()))
}

func sizeText(vcpus uint32, memoryMiB, diskGiB uint64) string {
	if vcpus == 0 {
		return ""
	}
	return fmt.Sprintf("%d vCPU, %s of memory, %d GiB of disk", vcpus, mib(memoryMiB), diskGiB)
}

// resizeText says what is on its way.
func resizeText(v vmView) string {
	r := v.Resize
	if r == nil {
		return ""
	}
	when := "with its next start"
	switch {
	case r.Restart && v.Phase == phaseName(computev1.Phase_PHASE_REBOOTING):
		when = "after this restart"
	case v.Phase == phaseName(computev1.Phase_PHASE_RUNNING):
		when = "in a moment"
	}
	return fmt.Sprintf("to %s, %s", sizeText(r.VCPUs, r.MemoryMiB, r.DiskGiB), when)
}

// quotedResize is what --dry-run prints.
type quotedResize struct {
	Plan    string     `json:"plan"`
	From    resizeView `json:"from"`
	To      resizeView `json:"to"`
	Restart bool       `json:"restart"`
	// Room on its host for it.
	Room bool `json:"room"`
}

func (c *command) printResize(r resize) error {
	now := r.vm.GetSize()
	q := quotedResize{
		Plan: r.plan, Restart: r.restart, Room: r.fits,
		From: resizeView{
			VCPUs: now.GetVcpus(), MemoryMiB: now.GetMemoryMib(), DiskGiB: now.GetDiskGib(),
			RunningRate: r.vm.GetRunningRate(), StoppedRate: r.vm.GetStoppedRate(),
		},
		To: resizeView{
			VCPUs: r.to.VCPUs, MemoryMiB: r.to.MemoryMiB, DiskGiB: r.to.DiskGiB,
			RunningRate: r.rates.Running, StoppedRate: r.rates.Stopped, Restart: r.restart,
		},
	}
	return c.print(q, func(w *tableWriter) {
		w.field("Now", sizeText(q.From.VCPUs, q.From.MemoryMiB, q.From.DiskGiB))
		w.field("To be", sizeText(q.To.VCPUs, q.To.MemoryMiB, q.To.DiskGiB))
		w.field("Running", fmt.Sprintf("%s credits an hour, now %s", credit.Format(q.To.RunningRate), credit.Format(q.From.RunningRate)))
		w.field("Stopped", fmt.Sprintf("%s credits an hour, now %s", credit.Format(q.To.StoppedRate), credit.Format(q.From.StoppedRate)))
		switch {
		case r.restart:
			w.field("Restart", "yes, at once")
		case isUp(r.vm.GetStatus().GetPhase()):
			w.field("Restart", "no")
		default:
			w.field("Restart", "no; it takes its new size with its next start")
		}
		if q.Room {
			w.field("Room", "its host has it now")
		} else {
			w.field("Room", "its host has none: choose a smaller plan, or create another machine")
		}
	})
}
