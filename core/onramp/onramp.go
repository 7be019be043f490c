// Package onramp is the language between a tenant and a seller of credits: one
// HTTP request that buys credits for an address. A network's profile names its
// on-ramp; a development network's one is a faucet.
package onramp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hippius/compute/core/credit"
)

// Path of the request, below the on-ramp's URL; POST, JSON.
const Path = "/v1/buy"

// MaxBody bounds request and answer, in bytes.
const MaxBody = 4 << 10

// Order asks for credits.
type Order struct {
	// Recipient is the bech32 address the credits are for.
	Recipient string `json:"recipient"`
	// Ucredit is how much the recipient gets; 1 credit is 1 000 000 ucredit.
	Ucredit uint64 `json:"ucredit"`
	// Reference makes a repeated order one order; at most 128 characters.
	Reference string `json:"reference"`
}

// Answer says what was done, or in Error why nothing was.
type Answer struct {
	TxHash  string `json:"tx_hash,omitempty"`
	Ucredit uint64 `json:"ucredit,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Decode reads one bounded JSON value from r into v and refuses unknown fields.
func Decode(r io.Reader, v any) error {
	d := json.NewDecoder(io.LimitReader(r, MaxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("decode: data after the value, or more than %d bytes", MaxBody)
	}
	return nil
}

// Check says what is wrong with an order, or nil.
func (o Order) Check(maxUcredit uint64) error {
	switch {
	case o.Recipient == "" || len(o.Recipient) > 128:
		return errors.New("recipient: give a bech32 address")
	case o.Ucredit == 0 || o.Ucredit > maxUcredit:
		return fmt.Errorf("%s credits are ordered; accepted are %s to %s at once", credit.Format(o.Ucredit), credit.Format(1), credit.Format(maxUcredit))
	case o.Reference == "" || len(o.Reference) > 128:
		return errors.New("reference: give 1 to 128 characters, new for each purchase")
	}
	return nil
}
