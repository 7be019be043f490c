package keeper

import (
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
)

// Migrate1to2 gives the parameters that version 1 did not have their defaults. VMs that wait are searched for anew, as no
// search of theirs is there.
func (k *Keeper) Migrate1to2(ctx sdk.Context) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	d := types.DefaultParams()
	p.MaxCandidatesPerBlock = d.MaxCandidatesPerBlock
	if p.SilenceSeconds == 0 {
		p.SilenceSeconds, p.SilenceReports, p.MaxSilenceActions = d.SilenceSeconds, d.SilenceReports, d.MaxSilenceActions
	}
	if p.BootTimeoutSeconds == 0 {
		p.BootTimeoutSeconds, p.BootSecondsPerGib = d.BootTimeoutSeconds, d.BootSecondsPerGib
	}
	if err := k.params.Set(ctx, p); err != nil {
		return err
	}
	return k.sweepAgain.Set(ctx, true)
}
