package keeper

import (
	"context"
	"errors"
	"math"
	"strconv"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/core/credit"
)

// Size of a transaction, which decides its fee.
type Size struct {
	// Gas limit.
	Gas uint64
	// Bytes of the encoded transaction.
	Bytes uint64
}

// fee of a transaction in ucredit.
func fee(p types.Params, s Size) (uint64, error) {
	v, err := p.Fees().Of(s.Gas, s.Bytes)
	if err != nil {
		return 0, types.ErrInvalid.Wrapf("fee of %d gas and %d bytes: %s", s.Gas, s.Bytes, err)
	}
	return v, nil
}

// Fee of a transaction in ucredit, whoever pays it.
func (k *Keeper) Fee(ctx context.Context, s Size) (uint64, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return 0, err
	}
	return fee(params, s)
}

// ChargeFee takes the fee of a transaction from its signer: in credits, or all of it in uhip if the credits are not
// enough, so that a holder of coins depends on no sale of credits.
func (k *Keeper) ChargeFee(ctx context.Context, payer string, s Size) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	ucredit, err := fee(params, s)
	if err != nil || ucredit == 0 {
		return err
	}
	b, err := k.Balance(ctx, payer)
	if err != nil {
		return err
	}
	if b.Ucredit < ucredit {
		return k.chargeCoins(ctx, b, ucredit, params)
	}
	b.FeesSincePurchase += min(ucredit, math.MaxUint64-b.FeesSincePurchase)
	return errors.Join(k.notePaid(ctx, payer, ucredit), k.consume(ctx, b, ucredit, ""))
}

// notePaid remembers the fee of the transaction whose checks are made until the end of the block. No sum overflows: they are parts
// of the books.
func (k *Keeper) notePaid(ctx context.Context, payer string, ucredit uint64) error {
	if err := addMap(ctx, k.paid, payer, ucredit); err != nil {
		return err
	}
	sum, err := k.paid.Get(ctx, payer)
	if err != nil {
		return err
	}
	return k.paidUpTo.Set(ctx, collections.Join(payer, place(ctx)), sum)
}

// paidAfter is what an account paid in fees for transactions of this block that come after the one that is executed: all fees of a
// block are taken before its first message runs.
func (k *Keeper) paidAfter(ctx context.Context, payer string) (uint64, error) {
	all, err := records.OrZero(k.paid.Get(ctx, payer))
	if err != nil || all == 0 {
		return 0, err
	}
	before := uint64(0)
	upTo := collections.NewPrefixedPairRange[string, uint32](payer).EndInclusive(place(ctx)).Descending()
	err = k.paidUpTo.Walk(ctx, upTo, func(_ feeKey, sum uint64) (bool, error) {
		before = sum
		return true, nil
	})
	return all - before, err
}

// place of the transaction in its block.
func place(ctx context.Context) uint32 { return uint32(max(sdk.UnwrapSDKContext(ctx).TxIndex(), 0)) }

// chargeCoins takes what a fee costs in uhip at the price at which credits are sold, and sends it on at the end of the
// block as what nobody served. It passes by the reserve.
func (k *Keeper) chargeCoins(ctx context.Context, b types.Balance, ucredit uint64, params types.Params) error {
	_, highest, err := k.Range(ctx)
	if err != nil {
		return err
	}
	uhip, err := credit.Cost(ucredit, highest)
	if err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	payer, err := account.Parse("payer", b.Address)
	if err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	if have := k.bank.SpendableCoin(ctx, payer, types.Denom).Amount; have.LT(sdkmath.NewIntFromUint64(uhip)) {
		return types.ErrInsufficient.Wrapf("%s has %s credits and %s uhip, and the transaction costs %s credits or %d uhip; %s credits are missing: buy some with 'hippius billing buy', or send MsgBuy alone, which pays for itself",
			b.Address, credit.Format(b.Ucredit), have, credit.Format(ucredit), uhip, credit.Format(ucredit-b.Ucredit))
	}
	if err := k.bank.SendCoinsFromAccountToModule(ctx, payer, types.ModuleName, coins(uhip)); err != nil {
		return types.ErrInsufficient.Wrapf("fee of %d uhip: %s", uhip, err)
	}
	var r credit.Release
	err = k.books(ctx, func(books *credit.Books) error {
		r, err = books.PayFee(uhip, params.Shares())
		return err
	})
	if err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventCoinFee,
		sdk.NewAttribute(types.AttributeAccount, b.Address),
		sdk.NewAttribute(types.AttributeUhip, strconv.FormatUint(uhip, 10)),
	))
	return errors.Join(addItem(ctx, k.stakers, r.Stakers), addItem(ctx, k.treasury, r.Treasury))
}
