package types

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// AccountKeeper is what the module needs of x/auth.
type AccountKeeper interface {
	GetModuleAddress(name string) sdk.AccAddress
	HasAccount(ctx context.Context, addr sdk.AccAddress) bool
	NewAccountWithAddress(ctx context.Context, addr sdk.AccAddress) sdk.AccountI
	SetAccount(ctx context.Context, acc sdk.AccountI)
}

// BankKeeper is what the module needs of x/bank.
type BankKeeper interface {
	GetBalance(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	SpendableCoin(ctx context.Context, addr sdk.AccAddress, denom string) sdk.Coin
	BlockedAddr(addr sdk.AccAddress) bool
	SendCoinsFromAccountToModule(ctx context.Context, from sdk.AccAddress, module string, coins sdk.Coins) error
	SendCoinsFromModuleToAccount(ctx context.Context, module string, to sdk.AccAddress, coins sdk.Coins) error
	SendCoinsFromModuleToModule(ctx context.Context, from, to string, coins sdk.Coins) error
}

// Earnings books what miners earned; x/ranking offers it. The coins follow in
// one transfer to the module account named by Account, in the same block.
type Earnings interface {
	Accrue(ctx context.Context, miner string, uhip, servedUcredit uint64) error
	Account() string
}

// Hooks are called when something happens in x/credits.
type Hooks interface {
	// AfterBuy is called when an account has received credits.
	// BeforeBuy is called before an account's balance rises: what it could not pay so far is not owed.
	BeforeBuy(ctx context.Context, account string) error
	AfterBuy(ctx context.Context, account string) error
}
