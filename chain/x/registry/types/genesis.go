package types

import (
	"slices"

	"github.com/hippius/compute/core/node"
)

// DefaultGenesis has parameters and nobody registered.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks the genesis by itself.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	operators, identities := map[string]bool{}, map[string]bool{}
	for _, m := range g.Miners {
		if err := m.Validate(); err != nil {
			return err
		}
		gone := m.Status == StatusGone
		if operators[m.Operator] || !gone && identities[string(m.Identity)] {
			return ErrInvalid.Wrapf("miner %s or its identity is there twice", m.Operator)
		}
		operators[m.Operator] = true
		identities[string(m.Identity)] = identities[string(m.Identity)] || !gone
	}
	clear(operators)
	clear(identities)
	for _, k := range g.Keepers {
		if err := k.Validate(); err != nil {
			return err
		}
		if operators[k.Operator] || identities[string(k.Identity)] {
			return ErrInvalid.Wrapf("keeper %s or its identity is there twice", k.Operator)
		}
		operators[k.Operator], identities[string(k.Identity)] = true, true
	}
	return nil
}

// Validate checks a miner's record by itself.
func (m Miner) Validate() error {
	if err := operator(m.Operator); err != nil {
		return err
	}
	if err := validateOffer(m.Core().Offer); err != nil {
		return err
	}
	switch m.Status {
	case StatusActive, StatusDraining:
	case StatusUnbonding, StatusGone:
		if m.Usage.Vms != 0 {
			return ErrInvalid.Wrapf("miner %s leaves, yet holds %d VMs", m.Operator, m.Usage.Vms)
		}
		if m.Status == StatusGone && m.BondUhip != 0 {
			return ErrInvalid.Wrapf("miner %s is gone, yet has a bond", m.Operator)
		}
	case StatusNone:
		return ErrInvalid.Wrapf("miner %s has no status", m.Operator)
	default:
		return ErrInvalid.Wrapf("miner %s has the unknown status %d", m.Operator, m.Status)
	}
	return nil
}

// Computes reports whether the miner runs VMs.
func (m Miner) Computes() bool { return slices.Contains(m.Roles, node.RoleCompute) }

// Open reports whether the miner takes new VMs.
func (m Miner) Open() bool { return m.Status == StatusActive && m.Computes() }
