package types

import (
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/msgservice"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/plan"
)

// RegisterInterfaces makes the module's messages known to the codec.
func RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	registry.RegisterImplementations((*sdk.Msg)(nil), &MsgUpdateParams{}, &MsgSetPlan{}, &MsgSetImage{}, &MsgSetApp{})
	msgservice.RegisterMsgServiceDesc(registry, &_Msg_serviceDesc)
}

// ValidateBasic checks the form of a change of parameters.
func (m *MsgUpdateParams) ValidateBasic() error {
	if err := checkAuthority(m.Authority); err != nil {
		return err
	}
	return m.Params.Validate()
}

// ValidateBasic checks the form of a new or removed plan; to remove one, its name is enough.
func (m *MsgSetPlan) ValidateBasic() error {
	return checkEntry(m.Authority, "plan", m.Plan.Name, m.Remove, m.Plan.Core().Validate)
}

// ValidateBasic checks the form of a new or removed image; to remove one, its name is enough.
func (m *MsgSetImage) ValidateBasic() error {
	return checkEntry(m.Authority, "image", m.Image.Name, m.Remove, m.Image.Core().Validate)
}

// ValidateBasic checks the form of a new or removed application; to remove one, its name is enough.
func (m *MsgSetApp) ValidateBasic() error {
	return checkEntry(m.Authority, "application", m.App.Name, m.Remove, m.App.Core().Validate)
}

func checkEntry(authority, kind, name string, remove bool, validate func() error) error {
	if err := checkAuthority(authority); err != nil {
		return err
	}
	err := plan.ValidateName(kind, name)
	if err == nil && !remove {
		err = validate()
	}
	if err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func checkAuthority(s string) error {
	if _, err := account.Parse("authority", s); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}
