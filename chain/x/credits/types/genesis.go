package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
)

// DefaultGenesis has parameters and nothing sold.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks the genesis by itself: parameters, prices, books, and that the balances make what is outstanding and
// what backs it.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	if err := g.validatePrices(); err != nil {
		return err
	}
	books := g.Totals.Books()
	if err := books.Check(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	left, backing := books.Outstanding(), books.Backing()
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
		if b.BackingUhip > backing {
			return ErrInvalid.Wrapf("the backings exceed the %d uhip that back all credits", books.Backing())
		}
		left -= b.Ucredit
		backing -= b.BackingUhip
	}
	if left != 0 {
		return ErrInvalid.Wrapf("%d of %d ucredit outstanding belong to nobody", left, books.Outstanding())
	}
	if backing != 0 {
		return ErrInvalid.Wrapf("%d of %d uhip that back credits back nobody's", backing, books.Backing())
	}
	return g.validateReferences()
}

// validatePrices accepts none: the price of the parameters is then the first.
func (g GenesisState) validatePrices() error {
	if len(g.Prices) == 0 {
		return nil
	}
	prices := CorePrices(g.Prices)
	if err := prices.Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if last := prices.Current(); last != g.Params.UhipPerCredit {
		return ErrInvalid.Wrapf("the last price is %d uhip, that of the parameters %d; they must be the same", last, g.Params.UhipPerCredit)
	}
	return nil
}

func (g GenesisState) validateReferences() error {
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
