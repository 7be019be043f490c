package app

// Bounds of transactions and blocks, for the test that compares them with what must fit in.
const (
	MaxTxGas      = maxTxGas
	MaxBlockGas   = maxBlockGas
	MaxBlockBytes = maxBlockBytes
)
