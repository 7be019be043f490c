package app

import (
	"context"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/cosmos-sdk/baseapp"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

// Query answers consensus' own interface, which anybody reaches by the node's ABCIQuery. It tries no transactions: who asks is not
// known there, and so no budget. Of a store it reads one key, with a proof if one is asked for: a query of a range has neither gas nor
// pages, and would have the node read and send the whole store.
func (a *App) Query(ctx context.Context, req *abci.RequestQuery) (*abci.ResponseQuery, error) {
	path := baseapp.SplitABCIQueryPath(req.Path)
	if req.Path == SimulateMethod || len(path) > 1 && path[0] == baseapp.QueryPathApp && path[1] == "simulate" {
		return sdkerrors.QueryResult(sdkerrors.ErrNotSupported.Wrap("a transaction is tried by the node's gRPC service cosmos.tx.v1beta1.Service only"), false), nil
	}
	if len(path) > 0 && path[0] == baseapp.QueryPathStore && !oneKey(path) {
		return sdkerrors.QueryResult(sdkerrors.ErrNotSupported.Wrap("of a store, /store/NAME/key is answered only: one key, with its proof"), false), nil
	}
	return a.BaseApp.Query(ctx, req)
}

// oneKey says whether a path of a store asks for one key of it.
func oneKey(path []string) bool { return len(path) == 3 && path[1] != "" && path[2] == "key" }
