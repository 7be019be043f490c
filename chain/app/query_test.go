package app_test

import (
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/hippius/compute/chain/app/apptest"
)

// Of a store one key is answered, with its proof: a whole range would be read and sent at nobody's cost.
func TestStoreQueriesAreOfOneKey(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit, Uhip: credit}}})
	h.NextBlock(1)
	h.NextBlock(1)
	supply := append(banktypes.SupplyKey.Bytes(), "uhip"...)
	for _, prove := range []bool{false, true} {
		res, err := h.App.Query(t.Context(), &abci.RequestQuery{Path: "/store/bank/key", Data: supply, Prove: prove})
		if err != nil || res.Code != abci.CodeTypeOK || len(res.Value) == 0 || prove != (res.ProofOps != nil) {
			t.Errorf("a key, with a proof: %v: %+v, %v", prove, res, err)
		}
	}
	for _, path := range []string{
		"/store/bank/subspace", "store/bank/subspace", "/store/bank//subspace", "/store/bank/subspace/", "/store/bank/key/subspace",
		"/store/bank", "/store", "/store/", "/store/bank/", "/store/bank/Subspace", "/store//key", "/store/bank/key/",
	} {
		res, err := h.App.Query(t.Context(), &abci.RequestQuery{Path: path, Data: banktypes.SupplyKey.Bytes()})
		if err != nil || res.Code == abci.CodeTypeOK || len(res.Value) > 0 || !strings.Contains(res.Log, "/store/NAME/key") {
			t.Errorf("%s: code %d, %d bytes, %q, %v", path, res.Code, len(res.Value), res.Log, err)
		}
	}
	for _, path := range []string{"", "/", "//"} {
		if res, err := h.App.Query(t.Context(), &abci.RequestQuery{Path: path}); err != nil || res.Code == abci.CodeTypeOK {
			t.Errorf("%q: %+v, %v", path, res, err)
		}
	}
}
