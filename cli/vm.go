package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

func (c *command) vm() *cobra.Command {
	cmd := &cobra.Command{
		Use: "vm", GroupID: groupVMs, Short: "Virtual machines",
		Example: "  hippius vm create web-1 --plan spark --image debian-12 --wait\n  hippius vm ls\n  hippius vm rm web-1",
	}
	cmd.AddCommand(
		c.vmCreate(), c.vmLs(), c.vmShow(),
		c.vmStart(), c.vmStop(), c.vmReboot(), c.vmRename(), c.vmResize(), c.vmRebuild(), c.vmRm(),
		c.vmConsole(), c.vmLogs(),
	)
	return cmd
}

// completeVM completes the first argument with the account's VMs.
func (c *command) completeVM(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completions(func(s *session) (names []string) {
		vms, _ := s.chain.VMs(cmd.Context(), s.address, false) // no completions without a chain
		for _, v := range vms {
			names = append(names, v.Spec.Name)
		}
		return names
	})
}

// action is a change of one VM: what is sent, what is waited for, and what is said.
type action struct {
	use, short, long, example string
	send                      func(ctx context.Context, s *client.Sender, id vm.ID) error
	done                      func(v vm.VM) bool
	said                      string
}

func (c *command) actionCommand(a action) *cobra.Command {
	w := waitFlags{}
	cmd := &cobra.Command{
		Use: a.use + " VM", Short: a.short, Long: a.long, Example: a.example,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := w.check(); err != nil {
				return err
			}
			v, err := c.lookUp(ctx, args[0])
			if err != nil {
				return err
			}
			s, err := c.openSigning(ctx)
			if err != nil {
				return err
			}
			defer s.close()
			if err := a.send(ctx, s.sender, v.ID); err != nil {
				return err
			}
			return c.afterChange(ctx, s, v, w, a.done, a.said)
		},
	}
	w.register(cmd)
	return cmd
}

// lookUp finds a VM without asking for a passphrase.
func (c *command) lookUp(ctx context.Context, ref string) (vm.VM, error) {
	s, err := c.open()
	if err != nil {
		return vm.VM{}, err
	}
	defer s.close()
	return s.findVM(ctx, ref)
}

// afterChange deals further instances if few are left, waits if asked to and prints the VM.
func (c *command) afterChange(ctx context.Context, s *signing, old vm.VM, w waitFlags, done func(vm.VM) bool, said string) error {
	id, name := old.ID, old.Spec.Name
	now, err := s.chain.VM(ctx, id)
	if err != nil {
		return err
	}
	c.topUp(ctx, s, now)
	if w.wait {
		if now, err = c.waitVM(ctx, s.session, now, w.timeout, done); err != nil {
			return err
		}
		said = "is " + phaseText(viewVM(now))
	}
	return c.print(viewVM(now), func(t *tableWriter) { t.row(fmt.Sprintf("%s %s", name, said)) })
}

// topUp deals further instances of a VM that has few ahead. A failure does not
// fail the command, so it is only a warning.
func (c *command) topUp(ctx context.Context, s *signing, v vm.VM) {
	missing, err := s.tenant.TopUp(ctx, v)
	c.warnMissing(v.Spec.Name, missing)
	if err != nil && ctx.Err() == nil {
		last := v.LastInstance()
		c.warn("%s can be moved only %d more times, because no further secrets could be dealt: %v",
			v.Spec.Name, last-min(last, v.Status.InstanceSeq), err)
	}
}

func (c *command) vmStart() *cobra.Command {
	return c.actionCommand(action{
		use: "start", short: "Start a stopped VM", example: "  hippius vm start web-1 --wait",
		send: func(ctx context.Context, s *client.Sender, id vm.ID) error { return s.StartVM(ctx, id) },
		done: isRunning, said: "starts",
	})
}

func (c *command) vmStop() *cobra.Command {
	return c.actionCommand(action{
		use: "stop", short: "Shut down a VM; its disk is kept",
		long:    "Shut down a VM cleanly. Its disk and address are kept. Only the disk is charged.",
		example: "  hippius vm stop web-1 --wait",
		send:    func(ctx context.Context, s *client.Sender, id vm.ID) error { return s.StopVM(ctx, id) },
		done:    isPhase(vm.Stopped), said: "stops",
	})
}

func (c *command) vmReboot() *cobra.Command {
	return c.actionCommand(action{
		use: "reboot", short: "Reboot a VM", example: "  hippius vm reboot web-1 --wait",
		send: func(ctx context.Context, s *client.Sender, id vm.ID) error { return s.RebootVM(ctx, id) },
		done: func(v vm.VM) bool {
			return isRunning(v) && v.Status.ObservedRebootSeq >= v.Spec.RebootSeq
		},
		said: "reboots",
	})
}

func isRunning(v vm.VM) bool {
	return v.Status.Phase == vm.Running && v.Status.ReadyAt != 0
}

func isPhase(p vm.Phase) func(vm.VM) bool {
	return func(v vm.VM) bool { return v.Status.Phase == p }
}

func (c *command) vmRename() *cobra.Command {
	return &cobra.Command{
		Use: "rename VM NAME", Short: "Rename a VM",
		Long:    "Rename a VM. Its address and the host name inside it do not change.",
		Example: "  hippius vm rename web-1 web-old", Args: cobra.ExactArgs(2), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := text.ValidName("VM name", args[1]); err != nil {
				return usageError{err}
			}
			v, err := c.lookUp(ctx, args[0])
			if err != nil {
				return err
			}
			s, err := c.openSigning(ctx)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.sender.RenameVM(ctx, v.ID, args[1]); err != nil {
				return err
			}
			return c.afterChange(ctx, s, v, waitFlags{}, nil, "is now called "+args[1])
		},
	}
}

func (c *command) vmRm() *cobra.Command {
	var yes bool
	w := waitFlags{}
	cmd := &cobra.Command{
		Use: "rm VM", Aliases: []string{"terminate", "delete"}, Short: "Terminate a VM and delete its disk",
		Long:    "Terminate a VM and delete its disk. It is not charged from that block on.",
		Example: "  hippius vm rm web-1\n  hippius vm rm web-1 --yes --wait", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := w.check(); err != nil {
				return err
			}
			found, ok, err := c.confirmRm(ctx, args[0], yes)
			if err != nil || !ok {
				return err
			}
			s, err := c.openSigning(ctx)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.sender.TerminateVM(ctx, found.ID); err != nil {
				return err
			}
			return c.afterChange(ctx, s, found, w, isPhase(vm.Terminated), "terminates")
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	w.register(cmd)
	return cmd
}

// confirmRm finds the VM and asks for confirmation.
func (c *command) confirmRm(ctx context.Context, ref string, yes bool) (v vm.VM, ok bool, err error) {
	if v, err = c.lookUp(ctx, ref); err != nil {
		return v, false, err
	}
	name := v.Spec.Name
	ok, err = c.confirmed(ctx, yes, fmt.Sprintf("terminating deletes the disk of %s", name),
		fmt.Sprintf("Terminate %s (%s) and delete its disk?", name, v.Spec.MeshAddress))
	return v, ok, err
}

// confirmed asks for confirmation of what cannot be undone, unless --yes was given;
// without a terminal --yes is required, and the error says why.
func (c *command) confirmed(ctx context.Context, yes bool, why, question string) (bool, error) {
	if yes {
		return true, nil
	}
	if !c.env.Interactive {
		return false, withHint(usagef("%s; confirmation is required", why), "add --yes")
	}
	ok, err := c.confirm(ctx, question)
	if err == nil && !ok {
		_, _ = fmt.Fprintln(c.env.Err, "Nothing was changed.")
	}
	return ok, err
}
