package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/bench"
	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/daemon/miner"
)

func measure(f *flags) *cobra.Command {
	var runs int
	var only string
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure and print name, value and unit a line", Args: cobra.NoArgs,
		Long: `Measure on networks of its own what a tenant waits for and what it costs a host:
from 'vm create' to the first SSH command, beside the same image started by virsh
alone, the two in turn; SSH over the mesh beside plain SSH; the mesh beside the
cable it runs on; what the agent in a VM takes; a restarted miner; a miner
with 50 simulated VMs; orders a second. docs/figures.md explains each.
Results go to standard output, everything else to standard error.`,
		Example: "  hippius-devnet bench\n  hippius-devnet bench --runs 3\n  hippius-devnet bench --only scale",
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			o := bench.Options{Image: "tiny", Plan: "spark", Runs: runs, Self: self, Out: cmd.OutOrStdout(), Progress: cmd.ErrOrStderr()}
			switch only {
			case "":
				if err := f.benchReal(cmd.Context(), o); err != nil {
					return err
				}
				return f.benchScale(cmd.Context(), o)
			case "vms":
				return f.benchReal(cmd.Context(), o)
			case "scale":
				return f.benchScale(cmd.Context(), o)
			default:
				return fmt.Errorf("--only %q: accepted are vms and scale", only)
			}
		},
	}
	cmd.Flags().StringVar(&only, "only", "", "measure only `PART`: vms (real ones) or scale (many simulated ones)")
	cmd.Flags().IntVar(&runs, "runs", 5, "measure each of the two so often")
	return cmd
}

func (f *flags) benchReal(ctx context.Context, o bench.Options) error {
	return f.with(ctx, o.Progress, o.Progress, func(ctx context.Context, n *devnet.Net, set devnet.Config) error {
		tenant, err := demo.NewTenant(filepath.Join(set.Bin, "hippius"), filepath.Join(set.Dir, "tenant"), o.Progress)
		if err != nil {
			return err
		}
		defer tenant.Close()
		o.Tenant, o.Net, o.Tag, o.ImageFile = tenant, n, set.Tag, filepath.Join(set.Images, "tiny.qcow2")
		return bench.Real(ctx, o)
	})
}

// manyOffer has room for the VMs of bench.Scale; they take nothing.
func manyOffer() miner.Offer { return miner.Offer{Cores: 64, MemoryMiB: 256 << 10, DiskGiB: 4 << 10} }

func (f *flags) benchScale(ctx context.Context, o bench.Options) error {
	return f.with(ctx, o.Progress, o.Progress, func(ctx context.Context, n *devnet.Net, set devnet.Config) error {
		var tenants [2]*demo.Tenant
		for i := range tenants {
			t, err := demo.NewTenant(filepath.Join(set.Bin, "hippius"), filepath.Join(set.Dir, fmt.Sprintf("tenant%d", i)), o.Progress)
			if err != nil {
				return err
			}
			defer t.Close()
			tenants[i] = t
		}
		o.Net, o.Tag = n, set.Tag
		return bench.Scale(ctx, o, tenants)
	}, func(set *devnet.Config) {
		set.Driver, set.Processes, set.Miners, set.Offer = devnet.Fake, true, 1, manyOffer()
		if f.dir != "" {
			set.Dir = filepath.Join(f.dir, "many")
		}
	})
}

// meshNode is what bench runs in network namespaces.
func meshNode() *cobra.Command {
	return &cobra.Command{
		Use: "mesh-node FILE", Hidden: true, Short: "Be the member of a mesh that a file describes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return bench.MeshNode(cmd.Context(), args[0]) },
	}
}
