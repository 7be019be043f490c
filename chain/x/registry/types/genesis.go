package types

import (
	"slices"

	"github.com/hippius/compute/core/committee"
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
		if k.Shares != 0 {
			return ErrInvalid.Wrapf("keeper %s has %d shares; only a committee gives shares", k.Operator, k.Shares)
		}
		operators[k.Operator], identities[string(k.Identity)] = true, true
	}
	return g.validateCommittees()
}

// validateCommittees checks the committees and that locks are those of their members.
func (g GenesisState) validateCommittees() error {
	memberships := map[string]uint64{}
	last := uint64(0)
	for _, c := range g.Committees {
		if err := c.Committee.Validate(); err != nil {
			return err
		}
		if c.Committee.Epoch <= last || c.Committee.Epoch > g.CommitteeEpoch {
			return ErrInvalid.Wrapf("committee %d follows %d; epochs rise up to %d", c.Committee.Epoch, last, g.CommitteeEpoch)
		}
		if former := c.Committee.Epoch < g.CommitteeEpoch; former != (c.Committee.ReplacedAt != 0) {
			return ErrInvalid.Wrapf("committee %d was replaced at %d; the present one is %d", c.Committee.Epoch, c.Committee.ReplacedAt, g.CommitteeEpoch)
		}
		last = c.Committee.Epoch
		for _, k := range c.Committee.Keepers {
			memberships[k.Operator]++
		}
	}
	for _, l := range g.Locks {
		if l.Committees == 0 || memberships[l.Operator] != l.Committees {
			return ErrInvalid.Wrapf("the keeper of %s is locked by %d committees, but is in %d, or is there twice", l.Operator, l.Committees, memberships[l.Operator])
		}
		if l.DelegatorShares.IsNil() || l.DelegatorShares.IsNegative() {
			return ErrInvalid.Wrapf("the keeper of %s is locked with no stake", l.Operator)
		}
		delete(memberships, l.Operator)
	}
	if len(memberships) != 0 {
		return ErrInvalid.Wrapf("%d members of committees are not locked", len(memberships))
	}
	return nil
}

// TotalShares of every secret dealt to the committee.
func (c Committee) TotalShares() int {
	n := 0
	for _, k := range c.Keepers {
		n += int(k.Shares)
	}
	return n
}

// TakesDeals reports whether deals to a committee, as CommitteeOf gives it, are accepted at a time.
func (c Committee) TakesDeals(now int64) bool { return c.DealsUntil == 0 || now < c.DealsUntil }

// Validate checks a committee's record by itself.
func (c Committee) Validate() error {
	if n := len(c.Keepers); n > committee.MaxSeats {
		return ErrInvalid.Wrapf("committee %d has %d keepers; at most %d", c.Epoch, n, committee.MaxSeats)
	}
	for i, k := range c.Keepers {
		if err := k.Validate(); err != nil {
			return err
		}
		if i > 0 && k.Operator <= c.Keepers[i-1].Operator {
			return ErrInvalid.Wrapf("the keepers of committee %d are not in the order of their operators, each once", c.Epoch)
		}
		if k.Shares < 1 || k.Shares > committee.MaxShares {
			return ErrInvalid.Wrapf("keeper %s has %d shares in committee %d; accepted are 1 to %d", k.Operator, k.Shares, c.Epoch, committee.MaxShares)
		}
	}
	if n := c.TotalShares(); n > committee.MaxShares || int(c.Threshold) != committee.Threshold(n) {
		return ErrInvalid.Wrapf("%d of %d shares open a secret of committee %d; two thirds of at most %d do", c.Threshold, n, c.Epoch, committee.MaxShares)
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
	if at := m.Record.HalvedAt; at < 0 {
		return ErrInvalid.Wrapf("the record of miner %s was halved at %d; accepted are times of at least 0", m.Operator, at)
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
