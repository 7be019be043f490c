package keeper

import (
	"context"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/credit"
)

// books changes the books by a rule.
func (k *Keeper) books(ctx context.Context, change func(*credit.Books) error) error {
	totals, err := k.totals.Get(ctx)
	if err != nil {
		return err
	}
	books := totals.Books()
	if err := change(&books); err != nil {
		return err
	}
	return k.totals.Set(ctx, types.TotalsOf(books))
}

// AddToReserve moves uhip of an account into the buffer.
func (k *Keeper) AddToReserve(ctx context.Context, m *types.MsgAddToReserve) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	sender, err := account.Parse("sender", m.Sender)
	if err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	if err := k.books(ctx, func(b *credit.Books) error { return b.Add(m.Uhip) }); err != nil {
		return types.ErrInvalid.Wrap(err.Error())
	}
	if err := k.bank.SendCoinsFromAccountToModule(ctx, sender, types.ModuleName, coins(m.Uhip)); err != nil {
		return types.ErrDeposit.Wrapf("add %d uhip: %s", m.Uhip, err)
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventAdded,
		sdk.NewAttribute(types.AttributeSender, m.Sender),
		sdk.NewAttribute(types.AttributeUhip, strconv.FormatUint(m.Uhip, 10)),
	))
	return nil
}

// SpendBuffer sends uhip from the buffer; only governance may.
func (k *Keeper) SpendBuffer(ctx context.Context, m *types.MsgSpendBuffer) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	if m.Authority != k.authority {
		return types.ErrUnauthorized.Wrapf("the buffer is spent by governance (%s), not by %s", k.authority, m.Authority)
	}
	send, err := k.receiver(m.Recipient)
	if err != nil {
		return err
	}
	if err := k.books(ctx, func(b *credit.Books) error { return b.Spend(m.Uhip) }); err != nil {
		return types.ErrBuffer.Wrap(err.Error())
	}
	if err := send(ctx, coins(m.Uhip)); err != nil {
		return types.ErrBuffer.Wrapf("send %d uhip to %s: %s", m.Uhip, m.Recipient, err)
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(sdk.NewEvent(types.EventSpent,
		sdk.NewAttribute(types.AttributeRecipient, m.Recipient),
		sdk.NewAttribute(types.AttributeUhip, strconv.FormatUint(m.Uhip, 10)),
	))
	return nil
}

// receiver finds out how coins are sent to a recipient of the buffer.
func (k *Keeper) receiver(recipient string) (func(context.Context, sdk.Coins) error, error) {
	toModule := func(name string) func(context.Context, sdk.Coins) error {
		return func(ctx context.Context, c sdk.Coins) error {
			return k.bank.SendCoinsFromModuleToModule(ctx, types.ModuleName, name, c)
		}
	}
	switch recipient {
	case types.RecipientStakers:
		return toModule(k.stakersAccount), nil
	case types.RecipientTreasury:
		return toModule(types.TreasuryName), nil
	}
	to, err := account.Parse("recipient", recipient)
	if err != nil {
		return nil, types.ErrInvalid.Wrap(err.Error())
	}
	if k.bank.BlockedAddr(to) {
		return nil, types.ErrRecipient.Wrapf("%s belongs to a module; accepted are %q, %q and accounts of no module", recipient, types.RecipientStakers, types.RecipientTreasury)
	}
	return func(ctx context.Context, c sdk.Coins) error {
		return k.bank.SendCoinsFromModuleToAccount(ctx, types.ModuleName, to, c)
	}, nil
}
