package app_test

import (
	"errors"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

func TestBuyAndPay(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "rich", Uhip: 1_000_000_000}}})
	rich, tenant := apptest.Named("rich"), apptest.Named("tenant")
	r := h.MustDeliver(rich, &creditstypes.MsgBuy{Buyer: rich.Address, Recipient: tenant.Address, Uhip: 10_000_000, Reference: "card-1"})
	var got creditstypes.MsgBuyResponse
	if err := r.Response(0, &got); err != nil || got.Ucredit != 9_999_000 {
		t.Fatalf("bought %d, %v", got.Ucredit, err)
	}
	t.Logf("gas %d", r.GasUsed)
	_, err := h.Deliver(rich, &creditstypes.MsgBuy{Buyer: rich.Address, Recipient: tenant.Address, Uhip: 10_000_000, Reference: "card-1"})
	if !errors.Is(err, creditstypes.ErrReferenceUsed) {
		t.Fatal(err)
	}
	for range 5 {
		h.NextBlock(5)
	}
}
