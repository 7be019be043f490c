// Package account reads account addresses as they stand in messages and state.
// State is keyed by the text of an address, so there must be one text only.
package account

import (
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// maxLength of an address in text; ours have 42 characters.
const maxLength = 90

// Parse reads a bech32 account address and refuses any other spelling of it,
// such as upper case. what names the field in the error.
func Parse(what, text string) (sdk.AccAddress, error) {
	if text == "" {
		return nil, fmt.Errorf("the %s is missing; it must be an account address such as hip1…", what)
	}
	if len(text) > maxLength {
		return nil, fmt.Errorf("the %s has %d characters; an account address has at most %d", what, len(text), maxLength)
	}
	addr, err := sdk.AccAddressFromBech32(text)
	if err != nil {
		return nil, fmt.Errorf("the %s %q is not an account address such as hip1…: %w", what, text, err)
	}
	if addr.String() != text {
		return nil, fmt.Errorf("the %s %q must be written %q", what, text, addr.String())
	}
	return addr, nil
}
