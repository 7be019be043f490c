package credit

import "math"

// Fees say what a transaction costs, in ucredit: a base, its gas limit and its bytes.
type Fees struct {
	Base uint64
	// PerMillionGas of the gas limit, used or not: a limit takes room in a block.
	PerMillionGas uint64
	// PerKiB of the encoded transaction.
	PerKiB uint64
}

const (
	million = 1_000_000
	kib     = 1024
)

// Of a transaction with a gas limit and a length in bytes, both parts rounded up.
func (f Fees) Of(gas, bytes uint64) (uint64, error) {
	forGas, err := mulDivUp(gas, f.PerMillionGas, million)
	if err != nil {
		return 0, err
	}
	forBytes, err := mulDivUp(bytes, f.PerKiB, kib)
	if err != nil {
		return 0, err
	}
	sum, err := add(f.Base, forGas)
	if err != nil {
		return 0, err
	}
	return add(sum, forBytes)
}

// PerGas is what a fee pays for a unit of gas, in 10⁻⁶ ucredit, at most what an int64 holds less one; 0 gas pays nothing.
func PerGas(fee, gas uint64) int64 {
	if gas == 0 {
		return 0
	}
	return int64(mulDivCap(fee, million, gas, math.MaxInt64-1))
}
