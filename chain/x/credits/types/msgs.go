package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
)

// MaxReference is the longest reference of a purchase, in bytes.
const MaxReference = 128

// ValidateBasic checks the form of a purchase.
func (m *MsgBuy) ValidateBasic() error {
	if _, err := account.Parse("buyer", m.Buyer); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if _, err := account.Parse("recipient", m.Recipient); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if m.Uhip == 0 {
		return ErrInvalid.Wrap("the deposit is 0 uhip; it must be at least 1")
	}
	return ValidateReference(m.Reference)
}

// ValidateReference checks the form of a reference; empty is none.
func ValidateReference(s string) error {
	if len(s) > MaxReference {
		return ErrInvalid.Wrapf("the reference has %d bytes; at most %d", len(s), MaxReference)
	}
	for i, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return ErrInvalid.Wrapf("the reference has byte 0x%02x at %d; accepted are printable ASCII characters", c, i)
		}
	}
	return nil
}

// ValidateBasic checks the form of a change of parameters.
func (m *MsgUpdateParams) ValidateBasic() error {
	if _, err := account.Parse("authority", m.Authority); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return m.Params.Validate()
}

// ValidateBasic checks the form of a gift to the reserve.
func (m *MsgAddToReserve) ValidateBasic() error {
	if _, err := account.Parse("sender", m.Sender); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if m.Uhip == 0 {
		return ErrInvalid.Wrap("0 uhip are added to the reserve; it must be at least 1")
	}
	return nil
}

// ValidateBasic checks the form of an expense of the buffer.
func (m *MsgSpendBuffer) ValidateBasic() error {
	if _, err := account.Parse("authority", m.Authority); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if m.Uhip == 0 {
		return ErrInvalid.Wrap("0 uhip of the buffer are spent; it must be at least 1")
	}
	if m.Recipient == RecipientStakers || m.Recipient == RecipientTreasury {
		return nil
	}
	if _, err := account.Parse("recipient", m.Recipient); err != nil {
		return ErrInvalid.Wrapf("%s; accepted are also %q and %q", err, RecipientStakers, RecipientTreasury)
	}
	return nil
}
