package types

import (
	"context"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/msgservice"

	"github.com/hippius/compute/chain/x/internal/account"
)

// AccountKeeper is what the module needs of x/auth.
type AccountKeeper interface {
	GetModuleAddress(name string) sdk.AccAddress
}

// BankKeeper is what the module needs of x/bank.
type BankKeeper interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, coins sdk.Coins) error
}

// RegisterInterfaces makes the module's messages known to the codec.
func RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	registry.RegisterImplementations((*sdk.Msg)(nil), &MsgClaimEarnings{})
	msgservice.RegisterMsgServiceDesc(registry, &_Msg_serviceDesc)
}

// ValidateBasic checks the form of a claim.
func (m *MsgClaimEarnings) ValidateBasic() error {
	if _, err := account.Parse("operator", m.Operator); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

// DefaultGenesis has no earnings.
func DefaultGenesis() *GenesisState { return &GenesisState{} }

// Validate checks the genesis by itself.
func (g GenesisState) Validate() error {
	seen := make(map[string]bool, len(g.Earnings))
	for _, e := range g.Earnings {
		if _, err := account.Parse("operator", e.Operator); err != nil {
			return ErrInvalid.Wrap(err.Error())
		}
		if seen[e.Operator] {
			return ErrInvalid.Wrapf("operator %s has two records of earnings", e.Operator)
		}
		seen[e.Operator] = true
	}
	return nil
}
