package app_test

import (
	"fmt"
	"testing"

	errorsmod "cosmossdk.io/errors"

	"github.com/hippius/compute/chain/client"
	compute "github.com/hippius/compute/chain/x/compute/types"
	credits "github.com/hippius/compute/chain/x/credits/types"
	marketplace "github.com/hippius/compute/chain/x/marketplace/types"
)

// The client's names for refusals are of the codes that the modules registered.
func TestRefusalsAreTheModulesCodes(t *testing.T) {
	for name, err := range map[client.Refusal]*errorsmod.Error{
		client.NoCredits:       credits.ErrInsufficient,
		client.NoCreditAccount: credits.ErrNoAccount,
		client.ReferenceUsed:   credits.ErrReferenceUsed,
		client.SalePaused:      credits.ErrSalePaused,
		client.NotEnoughUhip:   credits.ErrDeposit,

		client.UnknownPlan:  marketplace.ErrUnknownPlan,
		client.UnknownImage: marketplace.ErrUnknownImage,
		client.UnknownApp:   marketplace.ErrUnknownApp,

		client.MalformedKey:  compute.ErrMalformedKey,
		client.KeyExists:     compute.ErrKeyExists,
		client.UnknownKey:    compute.ErrUnknownKey,
		client.KeyInUse:      compute.ErrKeyInUse,
		client.NameTaken:     compute.ErrNameTaken,
		client.UnknownRegion: compute.ErrUnknownRegion,
		client.ImageTooLarge: compute.ErrImageTooLarge,
		client.UnknownMiner:  compute.ErrUnknownMiner,
		client.TooManyVMs:    compute.ErrTooManyVMs,
		client.AddressTaken:  compute.ErrAddressTaken,
		client.WrongPhase:    compute.ErrWrongPhase,
		client.SameSize:      compute.ErrSameSize,
		client.HostFull:      compute.ErrHostFull,
		client.NoRoomOnHost:  compute.ErrNoRoomOnHost,
		client.ImageArch:     compute.ErrImageArch,
		client.UnknownVM:     compute.ErrUnknownVM,
		client.NotHolder:     compute.ErrNotHolder,
		client.OldInstance:   compute.ErrOldInstance,
		client.BadTransition: compute.ErrBadTransition,
		client.BadProof:      compute.ErrBadProof,
		client.StaleProof:    compute.ErrStaleProof,
		client.BadReport:     compute.ErrBadReport,
		client.BadCharge:     compute.ErrAttestation,
	} {
		if want := fmt.Sprintf("%s/%d", err.Codespace(), err.ABCICode()); string(name) != want {
			t.Errorf("%v is %s on chain, the client has %s", err, want, name)
		}
	}
}
