package types

import (
	"github.com/hippius/compute/core/credit"
)

// Bounds of the parameters.
const (
	maxPrice    = 1_000_000_000_000_000
	maxFee      = credit.PerCredit
	maxGasFee   = credit.PerCredit
	maxBytesFee = credit.PerCredit / 10
	maxMinBuy   = 1000 * credit.PerCredit
	maxCoverage = 100 * credit.Parts
)

// DefaultParams are those of a new network: a credit costs one HIP, a small
// transaction about a quarter of a cent and a block's whole gas 12 credits, and
// sales pause when the reserve is worth less than half of what is outstanding.
func DefaultParams() Params {
	shares := credit.DefaultShares()
	return Params{
		UhipPerCredit: 1_000_000,
		FeeUcredit:    100,
		MinBuyUcredit: credit.PerCredit,
		MinerShare:    shares.Miner,
		StakersShare:  shares.Stakers,
		TreasuryShare: shares.Treasury,
		MinCoverage:   credit.Parts / 2,

		FeePerMillionGasUcredit: 24_000,
		FeePerKibUcredit:        1000,
	}
}

// Fees are what transactions cost.
func (p Params) Fees() credit.Fees {
	return credit.Fees{Base: p.FeeUcredit, PerMillionGas: p.FeePerMillionGasUcredit, PerKiB: p.FeePerKibUcredit}
}

// Shares of what is released.
func (p Params) Shares() credit.Shares {
	return credit.Shares{Miner: p.MinerShare, Stakers: p.StakersShare, Treasury: p.TreasuryShare}
}

// Validate says in one sentence what is wrong with the parameters.
func (p Params) Validate() error {
	switch {
	case p.UhipPerCredit < 1 || p.UhipPerCredit > maxPrice:
		return ErrInvalid.Wrapf("a credit costs %d uhip; accepted are 1 to %d", p.UhipPerCredit, uint64(maxPrice))
	case p.FeeUcredit > maxFee:
		return ErrInvalid.Wrapf("the base fee is %d ucredit; at most %d", p.FeeUcredit, maxFee)
	case p.FeePerMillionGasUcredit > maxGasFee:
		return ErrInvalid.Wrapf("the fee of a million gas is %d ucredit; at most %d", p.FeePerMillionGasUcredit, maxGasFee)
	case p.FeePerKibUcredit > maxBytesFee:
		return ErrInvalid.Wrapf("the fee of a KiB is %d ucredit; at most %d", p.FeePerKibUcredit, maxBytesFee)
	case p.MinBuyUcredit <= p.FeeUcredit || p.MinBuyUcredit > maxMinBuy:
		return ErrInvalid.Wrapf("the least purchase is %d ucredit; accepted are more than the base fee of %d, up to %d", p.MinBuyUcredit, p.FeeUcredit, maxMinBuy)
	case p.MinCoverage > maxCoverage:
		return ErrInvalid.Wrapf("the least coverage is %d parts of %d; at most %d", p.MinCoverage, credit.Parts, maxCoverage)
	}
	if err := p.Shares().Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}
