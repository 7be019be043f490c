package app

import (
	"context"

	sdkmath "cosmossdk.io/math"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/module"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	gogogrpc "github.com/cosmos/gogoproto/grpc"
	"google.golang.org/grpc"
)

// untaxed is x/distribution without its community tax, which would be taken out of what x/credits releases to validators
// and stakers. Who gets what is said in one place, the shares of x/credits; the treasury has one of them.
type untaxed struct{ distrtypes.MsgServer }

// UpdateParams refuses a tax.
func (u untaxed) UpdateParams(ctx context.Context, m *distrtypes.MsgUpdateParams) (*distrtypes.MsgUpdateParamsResponse, error) {
	if tax := m.Params.CommunityTax; tax.IsNil() || !tax.IsZero() {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("the community tax is %s; accepted is 0: change the treasury's share in x/credits instead", tax)
	}
	return u.MsgServer.UpdateParams(ctx, m)
}

// untax takes off the tax of a chain that began with one.
func untax(ctx context.Context, k *Keepers) error {
	p, err := k.Distribution.Params.Get(ctx)
	if err != nil || p.CommunityTax.IsZero() {
		return err
	}
	p.CommunityTax = sdkmath.LegacyZeroDec()
	return k.Distribution.Params.Set(ctx, p)
}

// configurator registers the modules' services, that of x/distribution untaxed.
type configurator struct{ module.Configurator }

func (c configurator) MsgServer() gogogrpc.Server { return msgServices{c.Configurator.MsgServer()} }

type msgServices struct{ gogogrpc.Server }

func (s msgServices) RegisterService(desc *grpc.ServiceDesc, service any) {
	if d, ok := service.(distrtypes.MsgServer); ok {
		service = untaxed{d}
	}
	s.Server.RegisterService(desc, service)
}
