package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/tenant"
)

type createFlags struct {
	plan, image, region, spread, userData string
	apps, keys, miners                    []string
	priority                              uint32
	onSilence                             vm.SilenceAction
	noAgent, dryRun                       bool
	waitFlags
}

func (c *command) vmCreate() *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a VM",
		Long: `Create a VM. The validators choose its host among the miners with available
capacity. This command makes the VM's secrets and shares them among the keepers,
which release them only to that host. It is charged from its first proof on.`,
		Example: `  hippius vm create web-1 --plan spark --image debian-12 --wait
  hippius vm create ci --plan vault --image debian-12 --app docker --region eu
  hippius vm create web-2 --plan spark --image debian-12 --user-data setup.yaml
  hippius vm create big --plan titan --image debian-12 --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.runCreate(cmd.Context(), args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.plan, "plan", "", "rent this `PLAN`, see 'hippius plan ls'")
	flags.StringVar(&f.image, "image", "", "start from this `IMAGE`, see 'hippius image ls'")
	flags.StringArrayVar(&f.apps, "app", nil, "install this `APP`, see 'hippius app ls'; repeatable")
	flags.StringArrayVar(&f.keys, "ssh-key", nil, "accept this `KEY` of the account; repeatable (default all)")
	flags.StringVar(&f.region, "region", "", "only miners of this `REGION`, see 'hippius miner ls'")
	flags.StringVar(&f.spread, "spread-group", "", "place VMs of one `GROUP` with different operators")
	flags.StringArrayVar(&f.miners, "miner", nil, "only this `MINER`, by name or operator's address; repeatable")
	flags.StringVar(&f.userData, "user-data", "", "cloud-init user data in `FILE`, at most 32 KiB")
	flags.Uint32Var(&f.priority, "priority", 0, "`NUMBER`; when credits run out, VMs of lower priority stop first")
	flags.BoolVar(&f.noAgent, "no-agent", false, "bill by the host's reports; for images that cannot run the guest agent")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only show the price and whether there is capacity")
	byDefault := vm.SilenceReboot
	flags.TextVar(&f.onSilence, "on-silence", &byDefault, "`ACTION` when the guest agent is silent for ten minutes while the host reports the VM running: reboot (once, then stop), stop, or charge (run on, charged by the host's reports)")
	must(cmd.RegisterFlagCompletionFunc("on-silence", cobra.FixedCompletions(vm.SilenceActions(), cobra.ShellCompDirectiveNoFileComp)))
	f.register(cmd)
	must(cmd.MarkFlagFilename("user-data"))
	c.completeFlags(cmd)
	return cmd
}

func (c *command) runCreate(ctx context.Context, name string, f createFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	userData, err := readUserData(f.userData)
	if err != nil {
		return err
	}
	if done, err := c.checkFirst(ctx, name, f); err != nil || done {
		return err
	}
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	spec, err := s.tenant.Spec(ctx, f.spec(name))
	if err != nil {
		return err
	}
	v, err := c.createVM(ctx, s, spec, userData)
	if err != nil {
		return err
	}
	if f.wait {
		if v, err = c.waitVM(ctx, s.session, v, f.timeout, isRunning); err != nil {
			return err
		}
	}
	if err := c.printVM(s.withMiner(ctx, viewVM(v))); err != nil {
		return err
	}
	if !f.wait && c.env.Interactive && c.format == formatTable {
		_, _ = fmt.Fprintf(c.env.Err, "\n'hippius ssh %s' waits for it and logs in.\n", name)
	}
	return nil
}

type quoteView struct {
	Plan          string `json:"plan"`
	RunningRate   uint64 `json:"running_ucredit_per_hour"`
	StoppedRate   uint64 `json:"stopped_ucredit_per_hour"`
	Holdback      uint64 `json:"holdback_ucredit"`
	MinBalance    uint64 `json:"min_create_ucredit"`
	Missing       uint64 `json:"missing_ucredit"`
	RunwaySeconds uint64 `json:"runway_seconds"`
	// Miners that would take it now.
	Miners int `json:"miners_with_room"`
}

// checkFirst does what needs no passphrase: it checks the order and asks for the
// price. With --dry-run it prints the price, and the command is done.
func (c *command) checkFirst(ctx context.Context, name string, f createFlags) (done bool, err error) {
	s, err := c.open()
	if err != nil {
		return false, err
	}
	defer s.close()
	if err := s.tenant.Check(ctx, f.spec(name), f.dryRun); err != nil {
		return false, err
	}
	q, err := s.tenant.Quote(ctx, f.plan)
	if err != nil {
		return false, err
	}
	if f.dryRun {
		hosts, err := s.tenant.Hosts(ctx, f.spec(name))
		if err != nil {
			return false, err
		}
		return true, c.printQuote(f.plan, q, hosts)
	}
	if q.Missing > 0 {
		return false, withHint(fmt.Errorf("creating a VM needs a balance of %s credits; %s are missing",
			credit.Format(q.MinCreate), credit.Format(q.Missing)),
			"hippius billing buy %s", credit.Format(roundUp(q.Missing, credit.PerCredit)))
	}
	return false, nil
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

func (c *command) printQuote(plan string, q plan.Quote, hosts int) error {
	v := quoteView{
		Plan: plan, RunningRate: q.Running, StoppedRate: q.Stopped,
		Holdback: q.Holdback, MinBalance: q.MinCreate, Missing: q.Missing,
		RunwaySeconds: q.RunwaySeconds, Miners: hosts,
	}
	return c.print(v, func(w *tableWriter) {
		w.field("Running", credit.Format(v.RunningRate)+" credits an hour, charged by the second")
		w.field("A 30-day month", credit.Format(v.RunningRate*24*30)+" credits")
		w.field("Stopped", credit.Format(v.StoppedRate)+" credits an hour, for the disk")
		w.field("Hold-back", credit.Format(v.Holdback)+" credits of the balance are reserved for the disk")
		w.field("Runway", duration(time.Duration(min(v.RunwaySeconds, 1<<32))*time.Second)+" with this VM, at the current balance")
		w.field("Capacity", capacityText(v.Miners))
		if v.Missing > 0 {
			w.field("Missing", credit.Format(v.Missing)+" credits, to reach the "+credit.Format(v.MinBalance)+" that creating a VM needs")
		}
	})
}

func readUserData(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read user data: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, instance.MaxUserData+1))
	if err != nil {
		return nil, fmt.Errorf("read user data: %w", err)
	}
	if len(data) > instance.MaxUserData {
		return nil, fmt.Errorf("user data in %s has more than %d bytes; make it smaller and let it download the rest", path, instance.MaxUserData)
	}
	return data, nil
}

// spec of the VM that is asked for.
func (f createFlags) spec(name string) vm.Spec {
	agent := vm.AgentGuest
	if f.noAgent {
		agent = vm.AgentNone
	}
	return vm.Spec{
		Name: name, Plan: f.plan, Image: f.image, Apps: f.apps, SSHKeys: f.keys, Agent: agent, OnSilence: f.onSilence,
		Region: f.region, SpreadGroup: f.spread, Miners: f.miners, Priority: f.priority,
		On: true,
	}
}

// createVM orders a VM on chain, after its secrets are in the keepers' hands.
func (c *command) createVM(ctx context.Context, s *signing, spec vm.Spec, userData []byte) (vm.VM, error) {
	order, err := s.tenant.NewOrder(spec, userData)
	if err != nil {
		return vm.VM{}, err
	}
	missing, err := order.Prepare(ctx)
	c.warnMissing(spec.Name, missing)
	if err != nil {
		return vm.VM{}, ifInterrupted(ctx, err, "nothing was ordered, and nothing is charged")
	}
	if err := order.Place(ctx); err != nil {
		return vm.VM{}, ifInterrupted(ctx, err, "the order may have reached the chain: see 'hippius vm ls'")
	}
	made, err := s.chain.VM(ctx, order.ID())
	return made, ifInterrupted(ctx, err, spec.Name+" is ordered: see 'hippius vm show "+spec.Name+"'")
}

// warnMissing tells which keepers did not take their shares of a VM's secrets.
func (c *command) warnMissing(name string, missing []*tenant.KeeperError) {
	for _, m := range missing {
		c.warn("%s; %s tolerates one failed keeper less", m, name)
	}
}

func capacityText(miners int) string {
	switch miners {
	case 0:
		return "on no miner now; the VM would wait in the queue, at no cost"
	case 1:
		return "on 1 miner now"
	default:
		return fmt.Sprintf("on %d miners now", miners)
	}
}
