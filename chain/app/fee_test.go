package app_test

import (
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

// Whoever fills a block's gas pays for it, also when its transactions do nothing.
func TestFullBlockCostsMoreThanTenCredits(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 100 * credit}}})
	a := apptest.Named("a")
	var txs [][]byte
	for range 10 {
		txs = append(txs, h.SignWith(a, func(b txBuilder) { b.SetGasLimit(50_000_000) }, &rankingtypes.MsgClaimEarnings{Operator: a.Address}))
	}
	if _, err := h.DeliverAll(txs...); err != nil {
		t.Fatal(err)
	}
	if paid := 100*credit - balance(t, h, a).Ucredit; paid <= 11*credit {
		t.Errorf("500 million gas cost %d ucredit, want clearly more than 10 credits", paid)
	}
}
