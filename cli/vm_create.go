package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	"github.com/hippius/compute/core/instance"
)

type createFlags struct {
	plan, image, region, spread, userData string
	apps, keys, miners                    []string
	priority                              uint32
	noAgent, dryRun                       bool
	waitFlags
}

func (c *command) vmCreate() *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a machine",
		Long: `Create a machine. The validators pick its host among the miners with room; the
secrets it runs with are made here and shared among the keepers, which give them
only to that host. It is charged from its first proof of life on.`,
		Example: `  hippius vm create web-1 --plan spark --image debian-12 --wait
  hippius vm create ci --plan vault --image debian-12 --app docker --region eu
  hippius vm create web-2 --plan spark --image debian-12 --user-data setup.yaml
  hippius vm create big --plan titan --image debian-12 --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.runCreate(cmd.Context(), args[0], f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.plan, "plan", "", "size, see 'hippius plan ls'")
	flags.StringVar(&f.image, "image", "", "operating system, see 'hippius image ls'")
	flags.StringArrayVar(&f.apps, "app", nil, "start with an application, see 'hippius app ls'; repeatable")
	flags.StringArrayVar(&f.keys, "ssh-key", nil, "let in this `KEY` of the account; repeatable (default all of them)")
	flags.StringVar(&f.region, "region", "", "only miners of this region")
	flags.StringVar(&f.spread, "spread-group", "", "keep machines of one `GROUP` on different operators")
	flags.StringArrayVar(&f.miners, "miner", nil, "only this `OPERATOR`; repeatable")
	flags.StringVar(&f.userData, "user-data", "", "cloud-init user data in `FILE`, at most 32 KiB")
	flags.Uint32Var(&f.priority, "priority", 0, "when credit runs out, machines of lower priority stop first")
	flags.BoolVar(&f.noAgent, "no-agent", false, "charge on the host's word; for images the guest agent cannot run on")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only show what it would cost")
	f.register(cmd)
	must(cmd.MarkFlagRequired("plan"))
	must(cmd.MarkFlagRequired("image"))
	must(cmd.MarkFlagFilename("user-data"))
	c.completeCreate(cmd)
	return cmd
}

func (c *command) runCreate(ctx context.Context, name string, f createFlags) error {
	if done, err := c.quote(ctx, f); err != nil || done {
		return err
	}
	userData, err := readUserData(f.userData)
	if err != nil {
		return err
	}
	s, err := c.openSigning()
	if err != nil {
		return err
	}
	defer s.close()
	spec, err := s.specFrom(ctx, name, f)
	if err != nil {
		return err
	}
	vm, err := c.createVM(ctx, s, spec, userData)
	if err != nil {
		return err
	}
	if f.wait {
		if vm, err = c.waitVM(ctx, s.session, vm.GetId(), f.timeout, isRunning); err != nil {
			return err
		}
	}
	return c.printVM(viewVM(vm))
}

type quoteView struct {
	Plan          string `json:"plan"`
	RunningRate   uint64 `json:"running_ucredit_per_hour"`
	StoppedRate   uint64 `json:"stopped_ucredit_per_hour"`
	Holdback      uint64 `json:"holdback_ucredit"`
	MinBalance    uint64 `json:"min_create_ucredit"`
	Missing       uint64 `json:"missing_ucredit"`
	RunwaySeconds uint64 `json:"runway_seconds"`
}

// quote asks the price first: with --dry-run it is printed and all is done.
func (c *command) quote(ctx context.Context, f createFlags) (done bool, err error) {
	s, err := c.open()
	if err != nil {
		return false, err
	}
	defer s.close()
	q, err := s.chain.Quote(ctx, s.address, f.plan)
	if err != nil {
		return false, withHint(err, "see 'hippius plan ls'")
	}
	if f.dryRun {
		return true, c.printQuote(f.plan, q)
	}
	if q.GetMissingUcredit() > 0 {
		return false, withHint(fmt.Errorf("creating a machine needs a balance of %s credits; %s are missing",
			credits(q.GetMinCreateUcredit()), credits(q.GetMissingUcredit())),
			"hippius billing buy %s", credits(roundUp(q.GetMissingUcredit(), ucreditPerCredit)))
	}
	return false, nil
}

func roundUp(n, unit uint64) uint64 { return (n + unit - 1) / unit * unit }

func (c *command) printQuote(plan string, q *marketplacev1.QueryQuoteResponse) error {
	v := quoteView{
		Plan: plan, RunningRate: q.GetRunningUcreditPerHour(), StoppedRate: q.GetStoppedUcreditPerHour(),
		Holdback: q.GetHoldbackUcredit(), MinBalance: q.GetMinCreateUcredit(), Missing: q.GetMissingUcredit(),
		RunwaySeconds: q.GetRunwaySeconds(),
	}
	return c.print(v, func(w *tableWriter) {
		w.field("Running", credits(v.RunningRate)+" credits an hour, charged by the second")
		w.field("A 30-day month", credits(v.RunningRate*24*30)+" credits")
		w.field("Stopped", credits(v.StoppedRate)+" credits an hour, for the disk")
		w.field("Hold-back", credits(v.Holdback)+" credits of the balance keep the disk when the rest is spent")
		w.field("Runway", duration(time.Duration(min(v.RunwaySeconds, 1<<32))*time.Second)+" with this machine, at the present balance")
		if v.Missing > 0 {
			w.field("Missing", credits(v.Missing)+" credits, to reach the "+credits(v.MinBalance)+" a creation needs")
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
		return nil, fmt.Errorf("user data in %s has more than %d bytes", path, instance.MaxUserData)
	}
	return data, nil
}

// specFrom fills in what the tenant left to us: all keys.
func (s *signing) specFrom(ctx context.Context, name string, f createFlags) (*computev1.VMSpec, error) {
	keys := f.keys
	if len(keys) == 0 {
		all, err := s.chain.SSHKeys(ctx, s.address)
		if err != nil {
			return nil, err
		}
		for _, k := range all {
			keys = append(keys, k.GetName())
		}
	}
	if len(keys) == 0 {
		return nil, withHint(errors.New("the account has no SSH key, so nobody could log in"),
			"hippius key add laptop ~/.ssh/id_ed25519.pub")
	}
	agent := computev1.AgentMode_AGENT_MODE_GUEST
	if f.noAgent {
		agent = computev1.AgentMode_AGENT_MODE_NONE
	}
	return &computev1.VMSpec{
		Name: name, Plan: f.plan, Image: f.image, Apps: f.apps, SshKeys: keys, Agent: agent,
		Region: f.region, SpreadGroup: f.spread, Miners: f.miners, Priority: f.priority,
		Power: computev1.Power_POWER_ON,
	}, nil
}

// newNonce from which, with the account, a machine's id follows.
func newNonce() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}

// completeCreate completes flags from the chain's catalogue.
func (c *command) completeCreate(cmd *cobra.Command) {
	for flag, list := range map[string]func(ctx context.Context, s *session) []string{
		"plan": func(ctx context.Context, s *session) (names []string) {
			plans, _ := s.chain.Plans(ctx) // no completions without a chain
			for _, p := range plans {
				names = append(names, p.GetPlan().GetName())
			}
			return names
		},
		"image": func(ctx context.Context, s *session) (names []string) {
			images, _ := s.chain.Images(ctx)
			for _, i := range images {
				names = append(names, i.GetName())
			}
			return names
		},
		"app": func(ctx context.Context, s *session) (names []string) {
			apps, _ := s.chain.Apps(ctx)
			for _, a := range apps {
				names = append(names, a.GetName())
			}
			return names
		},
		"ssh-key": func(ctx context.Context, s *session) (names []string) {
			keys, _ := s.chain.SSHKeys(ctx, s.address)
			for _, k := range keys {
				names = append(names, k.GetName())
			}
			return names
		},
	} {
		must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			s, err := c.open()
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			defer s.close()
			return list(cmd.Context(), s), cobra.ShellCompDirectiveNoFileComp
		}))
	}
}
