package demo

import (
	"context"
	"errors"
	"fmt"
)

// vmView and billingView are the parts of the command line's answers that are checked.
type vmView struct {
	Name           string `json:"name"`
	MeshAddress    string `json:"mesh_address"`
	RunningRate    uint64 `json:"running_ucredit_per_hour"`
	StoppedRate    uint64 `json:"stopped_ucredit_per_hour"`
	RunningSeconds uint64 `json:"running_seconds"`
	StoppedSeconds uint64 `json:"stopped_seconds"`
}

type billingView struct {
	Accrued  uint64 `json:"accrued_ucredit"`
	Consumed uint64 `json:"consumed_ucredit"`
	Rate     uint64 `json:"ucredit_per_hour"`
}

// bill compares what was charged with rate × attested seconds over all VMs.
func (d *demo) bill(ctx context.Context) error {
	if err := d.all(ctx, []string{"billing"}); err != nil {
		return err
	}
	var vms []vmView
	if err := d.Tenant.JSON(ctx, &vms, "vm", "ls", "--all"); err != nil {
		return err
	}
	var bill billingView
	if err := d.Tenant.JSON(ctx, &bill, "billing"); err != nil {
		return err
	}
	var units uint64
	for _, v := range vms {
		_, _ = fmt.Fprintf(d.Out, "    %s: %d s running at %d ucredit an hour, %d s stopped at %d\n",
			v.Name, v.RunningSeconds, v.RunningRate, v.StoppedSeconds, v.StoppedRate)
		if v.RunningSeconds == 0 {
			return fmt.Errorf("%s was never attested", v.Name)
		}
		units += v.RunningSeconds*v.RunningRate + v.StoppedSeconds*v.StoppedRate
	}
	charged := bill.Consumed + bill.Accrued
	_, _ = fmt.Fprintf(d.Out, "    charged %d ucredit, owed %d/3600 = %d\n", charged, units, units/3600)
	switch {
	case len(vms) != 2:
		return fmt.Errorf("the account has %d VMs; the demonstration made 2", len(vms))
	case charged != units/3600:
		return fmt.Errorf("charged are %d ucredit; rate × attested seconds is %d", charged, units/3600)
	case bill.Rate != 0:
		return errors.New("terminated VMs still have a rate")
	}
	return d.Audit(ctx)
}
