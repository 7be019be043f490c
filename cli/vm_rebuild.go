package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/vm"
)

func (c *command) vmRebuild() *cobra.Command {
	var image string
	var keys []string
	var yes bool
	w := waitFlags{}
	cmd := &cobra.Command{
		Use: "rebuild VM", Short: "Reinstall a VM from an image; its disk is deleted",
		Long: `Reinstall a VM from an image, on the same host, with the same name, address, keys
and applications. The old disk is deleted. The new disk has a new encryption key, and
the VM gets new identities: secrets read from the old disk are of no use on the new
one. Use it also for a VM that no longer boots. SSH keys that were removed from the
account are not installed again. --ssh-key replaces the VM's keys.`,
		Example: `  hippius vm rebuild web-1 --image debian-12 --wait
  hippius vm rebuild web-1 --image debian-12 --ssh-key new-laptop --ssh-key ci
  hippius vm rebuild web-1 --image debian-12 --yes`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := w.check(); err != nil {
				return err
			}
			v, err := c.checkRebuild(ctx, args[0], image, keys)
			if err != nil {
				return err
			}
			name := v.Spec.Name
			ok, err := c.confirmed(ctx, yes, fmt.Sprintf("rebuilding deletes the disk of %s", name),
				fmt.Sprintf("Rebuild %s (%s) from %s and delete its disk?", name, v.Spec.MeshAddress, image))
			if err != nil || !ok {
				return err
			}
			return c.runRebuild(ctx, v, image, keys, w)
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "start from this `IMAGE`, see 'hippius image ls'")
	cmd.Flags().StringArrayVar(&keys, "ssh-key", nil, "accept this `KEY` of the account; repeatable (default the VM's keys)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	w.register(cmd)
	c.completeFlags(cmd)
	return cmd
}

// checkRebuild does what needs no passphrase: it finds the VM and looks
// whether the image fits it and somebody could log in.
func (c *command) checkRebuild(ctx context.Context, ref, image string, keys []string) (vm.VM, error) {
	s, err := c.open()
	if err != nil {
		return vm.VM{}, err
	}
	defer s.close()
	v, err := s.findVM(ctx, ref)
	if err != nil {
		return vm.VM{}, err
	}
	return v, s.tenant.CheckRebuild(ctx, v, image, keys)
}

// runRebuild deals the next instance if there is none, and orders the rebuild.
func (c *command) runRebuild(ctx context.Context, v vm.VM, image string, keys []string, w waitFlags) error {
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	missing, err := s.tenant.EnsureNext(ctx, v)
	c.warnMissing(v.Spec.Name, missing)
	if err != nil {
		return ifInterrupted(ctx, err, "nothing was rebuilt")
	}
	seq, err := s.sender.RebuildVM(ctx, v.ID, image, keys)
	if err != nil {
		return err
	}
	done := func(v vm.VM) bool { return isRunning(v) && v.Status.InstanceSeq >= seq }
	return c.afterChange(ctx, s, v, w, done, "is rebuilt from "+image)
}
