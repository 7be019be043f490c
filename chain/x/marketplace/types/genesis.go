package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/plan"
)

// DefaultGenesis has the default plans and applications, and no images.
func DefaultGenesis() *GenesisState {
	g := &GenesisState{Params: DefaultParams()}
	for _, p := range plan.Defaults() {
		g.Plans = append(g.Plans, PlanOf(p))
	}
	for _, a := range plan.DefaultApps() {
		g.Apps = append(g.Apps, AppOf(a))
	}
	return g
}

// Validate checks the genesis by itself.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	if n := max(len(g.Plans), len(g.Images), len(g.Apps)); n > MaxEntries {
		return ErrInvalid.Wrapf("the catalogue has %d entries of a kind; at most %d", n, MaxEntries)
	}
	seen := map[string]bool{}
	once := func(kind, name string, err error) error {
		if err != nil {
			return ErrInvalid.Wrap(err.Error())
		}
		key := kind + "/" + name
		if seen[key] {
			return ErrInvalid.Wrapf("%s %q is there twice", kind, name)
		}
		seen[key] = true
		return nil
	}
	for _, p := range g.Plans {
		if err := once("plan", p.Name, p.Core().Validate()); err != nil {
			return err
		}
	}
	for _, i := range g.Images {
		if err := once("image", i.Name, i.Core().Validate()); err != nil {
			return err
		}
	}
	for _, a := range g.Apps {
		if err := once("application", a.Name, a.Core().Validate()); err != nil {
			return err
		}
	}
	for _, m := range g.Meters {
		_, err := account.Parse("account", m.Account)
		if err == nil {
			err = m.Core().Check()
		}
		if err := once("meter", m.Account, err); err != nil {
			return err
		}
	}
	return nil
}
