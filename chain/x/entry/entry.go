// Package entry does what is due for one entry of a module at a block's begin or end, so that an entry that fails stops
// neither the others nor the chain.
package entry

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// EventFailed tells of an entry whose work failed; nodes count it by module. Why it failed is only logged: the words of
// an error may differ between versions, and events are consensus data.
const EventFailed = "hippius.entry_failed"

// Attributes of EventFailed.
const (
	AttributeModule = "module"
	// AttributeWork is what was to be done, such as "release_bond".
	AttributeWork = "work"
	AttributeKey  = "key"
)

// Attempt does work for the entry named by key, on a branch of the state. If it fails, nothing of it is kept but a log
// line and an event, and Attempt is false: the caller takes the entry out of its queue or puts it further back.
func Attempt(ctx context.Context, module, work, key string, do func(context.Context) error) bool {
	sctx := sdk.UnwrapSDKContext(ctx)
	branch, write := sctx.CacheContext()
	if err := do(branch); err != nil { //nolint:contextcheck // the branch is made of ctx
		Failed(ctx, module, work, key, err)
		return false
	}
	write()
	return true
}

// Failed notes an entry whose work failed.
func Failed(ctx context.Context, module, work, key string, err error) {
	sctx := sdk.UnwrapSDKContext(ctx)
	sctx.Logger().Error("entry failed", "module", module, "work", work, "key", key, "error", err)
	sctx.EventManager().EmitEvent(sdk.NewEvent(EventFailed,
		sdk.NewAttribute(AttributeModule, module),
		sdk.NewAttribute(AttributeWork, work),
		sdk.NewAttribute(AttributeKey, key)))
}
