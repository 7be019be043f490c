package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/node"
)

func (c *command) miner() *cobra.Command {
	return group("miner", "Miners: the hosts of VMs", "  hippius miner ls\n  hippius miner show rack-1", c.minerLs(), c.minerShow())
}

func (c *command) minerLs() *cobra.Command {
	return c.lister("List miners with capacity and usage", "  hippius miner ls\n  hippius miner ls -o json      # with operators and endpoints", func(ctx context.Context, s *session) error {
		miners, err := s.chain.Miners(ctx)
		if err != nil {
			return err
		}
		views := make([]minerView, 0, len(miners))
		for _, m := range miners {
			views = append(views, viewMiner(m))
		}
		slices.SortFunc(views, func(a, b minerView) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operator, b.Operator))
		})
		return c.print(views, func(w *tableWriter) {
			w.row("MINER", "REGION", "STATUS", "VMS", "VCPU", "MEMORY", "DISK", "ACCEL", "SEEN")
			for _, v := range views {
				w.row(v.Name, v.Region, v.Status, fmt.Sprint(v.VMs), fmt.Sprintf("%d of %d", v.UsedVCPUs, v.Cores),
					gibOf(v.UsedMemory, v.MemoryMiB), fmt.Sprintf("%d of %d GiB", v.UsedDisk, v.DiskGiB),
					v.Acceleration, c.ago(v.LastSeen))
			}
		})
	})
}

func (c *command) minerShow() *cobra.Command {
	return &cobra.Command{
		Use: "show MINER", Short: "Show one miner, by name or operator's address",
		Example: "  hippius miner show rack-1", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeMiner,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer s.close()
			m, err := s.tenant.Miner(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			v := viewMiner(m)
			return c.print(v, func(w *tableWriter) {
				w.field("Name", v.Name)
				w.field("Operator", v.Operator)
				w.field("Status", minerStatusText(m.Status, v))
				w.field("Region", v.Region)
				w.field("Endpoint", v.Endpoint)
				w.field("CPU", fmt.Sprintf("%d cores, %s, %s", v.Cores, v.CPUModel, v.Acceleration))
				w.field("Memory", gibOf(v.UsedMemory, v.MemoryMiB)+" used")
				w.field("Disk", fmt.Sprintf("%d of %d GiB used", v.UsedDisk, v.DiskGiB))
				w.field("VMs", fmt.Sprint(v.VMs))
				w.field("Bond", fmt.Sprintf("%d uhip", v.BondUhip))
				w.field("Registered", when(v.RegisteredAt))
				w.field("Last seen", c.ago(v.LastSeen))
				w.field("Version", v.Version)
			})
		},
	}
}

// minerStatusText explains a status to tenants, where needed.
func minerStatusText(s node.MinerStatus, v minerView) string {
	if s == node.Draining {
		return v.Status + ": takes no new VMs, keeps those it has"
	}
	return v.Status
}

// completeMiner completes the first argument with the miners' names.
func (c *command) completeMiner(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completions(func(s *session) []string { return minerNames(cmd.Context(), s) })
}
