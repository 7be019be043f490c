package keeper

import (
	"context"
	"strconv"

	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/credit"
)

// prepaidKey marks a context in which the fee of the one purchase in it was paid already.
type prepaidKey struct{}

// offer is a purchase that was found to be in order.
type offer struct {
	buyer, recipient sdk.AccAddress
	params           types.Params
	// price is the highest of the last 7 days, in uhip per credit; ucredit is what the whole deposit buys at it.
	price, ucredit uint64
}

// check finds out whether a purchase would go through, deposit included.
func (k *Keeper) check(ctx context.Context, m *types.MsgBuy) (offer, error) {
	if err := m.ValidateBasic(); err != nil {
		return offer{}, err
	}
	var o offer
	var err error
	if o.buyer, err = account.Parse("buyer", m.Buyer); err != nil {
		return offer{}, types.ErrInvalid.Wrap(err.Error())
	}
	if o.recipient, err = account.Parse("recipient", m.Recipient); err != nil {
		return offer{}, types.ErrInvalid.Wrap(err.Error())
	}
	if k.bank.BlockedAddr(o.recipient) {
		return offer{}, types.ErrRecipient.Wrapf("%s belongs to a module, which cannot use credits", m.Recipient)
	}
	if o.params, err = k.params.Get(ctx); err != nil {
		return offer{}, err
	}
	if _, o.price, err = k.Range(ctx); err != nil {
		return offer{}, err
	}
	if o.ucredit, err = credit.Bought(m.Uhip, o.price); err != nil {
		return offer{}, types.ErrInvalid.Wrap(err.Error())
	}
	if least := o.params.MinBuyUcredit; o.ucredit < least {
		cost, err := credit.Cost(least, o.price)
		if err != nil {
			return offer{}, err
		}
		return offer{}, types.ErrTooLittle.Wrapf("%d uhip buy %s credits; the least that is sold is %s for %d uhip", m.Uhip, credit.Format(o.ucredit), credit.Format(least), cost)
	}
	if m.Reference != "" {
		used, err := k.references.Has(ctx, m.Reference)
		if err != nil {
			return offer{}, err
		}
		if used {
			return offer{}, types.ErrReferenceUsed.Wrapf("%q has bought credits before and can do so only once", m.Reference)
		}
	}
	totals, err := k.totals.Get(ctx)
	if err != nil {
		return offer{}, err
	}
	coverage, err := totals.Books().Coverage(o.params.UhipPerCredit)
	if err != nil {
		return offer{}, err
	}
	if coverage < uint64(o.params.MinCoverage) {
		return offer{}, types.ErrSalePaused.Wrapf("the reserve covers %d of %d parts of what is outstanding; credits are sold again from %d on", coverage, credit.Parts, o.params.MinCoverage)
	}
	return o, nil
}

// PrepayBuy takes the fee of a transaction that is only this purchase, out of
// the deposit and before anything else happens, so that also a purchase that
// fails later has paid. The context it returns must be the one Buy is run in.
func (k *Keeper) PrepayBuy(ctx sdk.Context, m *types.MsgBuy, s Size) (sdk.Context, error) {
	o, err := k.check(ctx, m)
	if err != nil {
		return ctx, err
	}
	have := k.bank.SpendableCoin(ctx, o.buyer, types.Denom).Amount
	if want := sdkmath.NewIntFromUint64(m.Uhip); have.LT(want) {
		return ctx, types.ErrDeposit.Wrapf("the deposit is %s uhip but %s can spend %s; %s are missing", want, m.Buyer, have, want.Sub(have))
	}
	ucredit, err := fee(o.params, s)
	if err != nil {
		return ctx, err
	}
	if ucredit >= o.ucredit {
		return ctx, types.ErrTooLittle.Wrapf("the fee of %s credits is not less than the %s credits that the deposit buys: buy more, or set a lower gas limit than %d", credit.Format(ucredit), credit.Format(o.ucredit), s.Gas)
	}
	uhip, err := credit.Cost(ucredit, o.price) // at most the deposit: it buys more
	if err != nil {
		return ctx, err
	}
	var paid credit.Balance
	if err := k.deposit(ctx, o.buyer, &paid, uhip, ucredit); err != nil {
		return ctx, err
	}
	if err := k.release(ctx, m.Buyer, &paid, ucredit, "", o.params); err != nil {
		return ctx, err
	}
	return ctx.WithValue(prepaidKey{}, prepaid{uhip: uhip, ucredit: ucredit}), nil
}

type prepaid struct{ uhip, ucredit uint64 }

// Buy deposits uhip and gives the recipient what it buys, less a fee that was
// paid ahead out of it. The recipient's account is created if there is none.
func (k *Keeper) Buy(ctx context.Context, m *types.MsgBuy) (uint64, error) {
	o, err := k.check(ctx, m)
	if err != nil {
		return 0, err
	}
	ahead, _ := sdk.UnwrapSDKContext(ctx).Value(prepaidKey{}).(prepaid)
	ucredit := o.ucredit - min(o.ucredit, ahead.ucredit)
	if k.hooks != nil {
		if err := k.hooks.BeforeBuy(ctx, m.Recipient); err != nil {
			return 0, err
		}
	}
	b, err := k.Balance(ctx, m.Recipient)
	if err != nil {
		return 0, err
	}
	to := b.Core()
	if err := k.deposit(ctx, o.buyer, &to, m.Uhip-min(m.Uhip, ahead.uhip), ucredit); err != nil {
		return 0, err
	}
	if m.Reference != "" {
		if err := k.references.Set(ctx, m.Reference); err != nil {
			return 0, err
		}
	}
	if !k.accounts.HasAccount(ctx, o.recipient) {
		k.accounts.SetAccount(ctx, k.accounts.NewAccountWithAddress(ctx, o.recipient))
	}
	if to.FeesSincePurchase, err = k.paidAfter(ctx, m.Recipient); err != nil {
		return 0, err
	}
	to.FeesSincePurchase += ahead.ucredit // no overflow: both are parts of the books
	if err := k.balances.Set(ctx, m.Recipient, types.BalanceOf(m.Recipient, to)); err != nil {
		return 0, err
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventBought,
		sdk.NewAttribute(types.AttributeAccount, m.Recipient),
		sdk.NewAttribute(types.AttributeBuyer, m.Buyer),
		sdk.NewAttribute(types.AttributeUhip, strconv.FormatUint(m.Uhip, 10)),
		sdk.NewAttribute(types.AttributeUcredit, strconv.FormatUint(ucredit, 10)),
		sdk.NewAttribute(types.AttributeReference, m.Reference),
	))
	if k.hooks != nil {
		if err := k.hooks.AfterBuy(ctx, m.Recipient); err != nil {
			return 0, err
		}
	}
	return ucredit, nil
}

// deposit moves uhip into the reserve, books ucredit as bought and adds both to a balance.
func (k *Keeper) deposit(ctx context.Context, buyer sdk.AccAddress, to *credit.Balance, uhip, ucredit uint64) error {
	if err := k.books(ctx, func(b *credit.Books) error { return b.Buy(to, uhip, ucredit) }); err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	if uhip == 0 {
		return nil
	}
	if err := k.bank.SendCoinsFromAccountToModule(ctx, buyer, types.ModuleName, coins(uhip)); err != nil {
		return types.ErrDeposit.Wrapf("deposit %d uhip: %s", uhip, err)
	}
	return nil
}

func coins(uhip uint64) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(types.Denom, sdkmath.NewIntFromUint64(uhip)))
}
