package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/hippius/compute/core/vm"
)

// VM and Billing are the parts of the command line's answers that are checked, here and in tests of whole networks.
type VM struct {
	ID             vm.ID  `json:"id"`
	Name           string `json:"name"`
	Phase          string `json:"phase"`
	MeshAddress    string `json:"mesh_address"`
	RunningRate    uint64 `json:"running_ucredit_per_hour"`
	StoppedRate    uint64 `json:"stopped_ucredit_per_hour"`
	RunningSeconds uint64 `json:"running_seconds"`
	StoppedSeconds uint64 `json:"stopped_seconds"`
}

// Units it was charged for: rate × attested seconds, 3600 to the ucredit.
func (v VM) Units() uint64 {
	return v.RunningSeconds*v.RunningRate + v.StoppedSeconds*v.StoppedRate
}

// Billing of an account.
type Billing struct {
	Accrued  uint64 `json:"accrued_ucredit"`
	Consumed uint64 `json:"consumed_ucredit"`
	Rate     uint64 `json:"ucredit_per_hour"`
	// AsOf is the time of the block that it is of, in unix seconds.
	AsOf int64 `json:"as_of"`
}

// bill compares what was charged with rate × attested seconds over all VMs.
func (d *demo) bill(ctx context.Context) error {
	if err := d.all(ctx, []string{"billing"}); err != nil {
		return err
	}
	var vms []VM
	if err := d.Tenant.JSON(ctx, &vms, "vm", "ls", "--all"); err != nil {
		return err
	}
	var bill Billing
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
		units += v.Units()
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
	return d.split(ctx)
}
