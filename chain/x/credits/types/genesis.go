package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
)

// DefaultGenesis has parameters and nothing sold.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks the genesis by itself: parameters, books, and that the balances make what is outstanding.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	books := g.Totals.Books()
	if err := books.Check(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	left := books.Outstanding()
	seen := make(map[string]bool, len(g.Balances))
	for _, b := range g.Balances {
		if _, err := account.Parse("account", b.Address); err != nil {
			return ErrInvalid.Wrap(err.Error())
		}
		if seen[b.Address] {
			return ErrInvalid.Wrapf("account %s has two balances", b.Address)
		}
		seen[b.Address] = true
		if b.Ucredit > left {
			return ErrInvalid.Wrapf("the balances exceed the %d ucredit outstanding", books.Outstanding())
		}
		left -= b.Ucredit
	}
	if left != 0 {
		return ErrInvalid.Wrapf("%d of %d ucredit outstanding belong to nobody", left, books.Outstanding())
	}
	refs := make(map[string]bool, len(g.References))
	for _, r := range g.References {
		if err := ValidateReference(r); err != nil {
			return err
		}
		if r == "" || refs[r] {
			return ErrInvalid.Wrapf("reference %q is empty or there twice", r)
		}
		refs[r] = true
	}
	return nil
}
