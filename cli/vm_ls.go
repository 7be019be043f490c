package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/vm"
)

func (c *command) vmLs() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List VMs",
		Example: "  hippius vm ls\n  hippius vm ls --all -o json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer s.close()
			vms, err := s.chain.VMs(cmd.Context(), s.address, all)
			if err != nil {
				return err
			}
			views := make([]vmView, 0, len(vms))
			for _, v := range vms {
				views = append(views, viewVM(v))
			}
			slices.SortFunc(views, func(a, b vmView) int {
				return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
			})
			return c.print(views, func(w *tableWriter) {
				w.row("NAME", "PHASE", "ADDRESS", "PLAN", "IMAGE", "CREDITS/H", "ID")
				for _, v := range views {
					w.row(v.Name, phaseText(v), v.MeshAddress, v.Plan, v.Image, credit.Format(v.UcreditPerHour), v.ID[:min(len(v.ID), 12)])
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "include terminated VMs")
	return cmd
}

// phaseText is the phase with its reason, unless that is that the tenant asked for it.
func phaseText(v vmView) string {
	if v.Reason == "" || v.Reason == vm.ReasonTenant {
		return v.Phase
	}
	return v.Phase + " (" + strings.ReplaceAll(v.Reason, "_", " ") + ")"
}

// searchText says in which miners room was looked for, for a VM that waits for it.
func searchText(v vmView) string {
	switch {
	case v.Reason != vm.ReasonNoCapacity:
		return ""
	case v.MinersTotal == 0:
		return "no miner has free capacity"
	case v.MinersSearched < v.MinersTotal:
		return fmt.Sprintf("%d of %d miners with free capacity so far", v.MinersSearched, v.MinersTotal)
	case v.MinersTotal == 1:
		return "the 1 miner with free capacity has too little"
	default:
		return fmt.Sprintf("all %d miners with free capacity have too little", v.MinersTotal)
	}
}

func (c *command) vmShow() *cobra.Command {
	return &cobra.Command{
		Use: "show VM", Short: "Show a VM", Example: "  hippius vm show web-1\n  hippius vm show web-1 -o json",
		Long: `Show a VM, and its charges so far. It is charged for the seconds that its agent has
proven, at the rate in effect at that time. In -o json, charged_units is the sum,
3600 units to a millionth of a credit.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer s.close()
			v, err := s.findVM(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.printVM(s.withMiner(cmd.Context(), viewVM(v)))
		},
	}
}

func (c *command) printVM(v vmView) error {
	return c.print(v, func(w *tableWriter) {
		w.field("Name", v.Name)
		w.field("Id", v.ID)
		w.field("Phase", phaseText(v))
		w.field("Message", v.Message)
		if v.QueuePlace != 0 {
			w.field("Queue position", fmt.Sprint(v.QueuePlace))
		}
		w.field("Searched", searchText(v))
		w.field("Address", v.MeshAddress)
		w.field("Plan", v.Plan)
		w.field("Size", sizeText(v.VCPUs, v.MemoryMiB, v.DiskGiB))
		w.field("Resize", resizeText(v))
		w.field("Image", v.Image)
		w.field("Applications", strings.Join(v.Apps, ", "))
		w.field("SSH keys", strings.Join(v.SSHKeys, ", "))
		for _, k := range v.RemovedKeys {
			w.field("Removed key", k.Name+" "+k.Fingerprint+", still accepted")
		}
		w.field("Region", v.Region)
		w.field("Miner", minerText(v))
		w.field("Instance", fmt.Sprint(v.Instance))
		w.field("Created", when(v.CreatedAt))
		w.field("Ready", when(v.ReadyAt))
		w.field("If silent", v.OnSilence)
		w.field("Price", fmt.Sprintf("%s credits an hour running, %s stopped", credit.Format(v.RunningRate), credit.Format(v.StoppedRate)))
		w.field("Attested", fmt.Sprintf("%d s running, %d s stopped", v.RunningSeconds, v.StoppedSeconds))
		w.field("Charged", credit.Format(v.ChargedUnits/credit.UnitsPerUcredit)+" credits so far")
	})
}

// withMiner adds what the VM's host is called; without an answer of the chain its operator's address has to do.
func (s *session) withMiner(ctx context.Context, v vmView) vmView {
	if v.Miner == "" {
		return v
	}
	if m, err := s.chain.Miner(ctx, v.Miner); err == nil {
		v.MinerName = m.Name
	}
	return v
}

func minerText(v vmView) string {
	if v.MinerName == "" {
		return v.Miner
	}
	return v.MinerName + ", of " + v.Miner
}
