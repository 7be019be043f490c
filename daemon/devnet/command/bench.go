package command

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/daemon/devnet/figures"
)

func bench(f *flags) *cobra.Command {
	var runs int
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure and print name, value and unit a line", Args: cobra.NoArgs,
		Long: `Measure on a network of its own how long a tenant waits from 'vm create' to the
first SSH command, beside the same image started by virsh alone, the two in turn.
Figures go to standard output, everything else to standard error.`,
		Example: "  hippius-devnet bench\n  hippius-devnet bench --runs 3",
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress := cmd.ErrOrStderr()
			return f.with(cmd.Context(), progress, progress, func(ctx context.Context, n *devnet.Net, set devnet.Config) error {
				tenant, err := demo.NewTenant(filepath.Join(set.Bin, "hippius"), filepath.Join(set.Dir, "tenant"), progress)
				if err != nil {
					return err
				}
				defer tenant.Close()
				return figures.Run(ctx, figures.Options{
					Tenant: tenant, Net: n, Image: "tiny", ImageFile: filepath.Join(set.Images, "tiny.qcow2"), Plan: "spark",
					Runs: runs, Out: cmd.OutOrStdout(), Progress: progress,
				})
			})
		},
	}
	cmd.Flags().IntVar(&runs, "runs", 5, "measure each of the two so often")
	return cmd
}
