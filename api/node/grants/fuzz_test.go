package grants

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/internal/wallet"
)

// FuzzVerify: of all that strangers send, only the grant that was signed is
// accepted, and as the one who signed it.
func FuzzVerify(f *testing.F) {
	w, err := wallet.FromKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	want := grant.Want{
		Purpose: grant.Console, ChainID: "c", VMID: "v", Now: now,
		Audience: bytes.Repeat([]byte{1}, 32), ClientKey: bytes.Repeat([]byte{2}, 32),
	}
	good, err := Sign(w, grant.Grant{
		Purpose: want.Purpose, ChainID: want.ChainID, VMID: want.VMID,
		Audience: want.Audience, ClientKey: want.ClientKey, ExpiresAt: now.Add(time.Minute).Unix(),
	})
	if err != nil {
		f.Fatal(err)
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	if owner, err := Verify(good, want); err != nil || owner != w.Address() {
		f.Fatalf("the good one: %q, %v", owner, err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var g grantv1.Grant
		if proto.Unmarshal(raw, &g) != nil {
			return
		}
		owner, err := Verify(&g, want)
		if err != nil {
			if owner != "" {
				t.Errorf("refused, and said to be %s's", owner)
			}
			return
		}
		// Who has another wallet can sign his own; nobody else signs for this one.
		if owner == w.Address() && (!bytes.Equal(g.GetWalletKey(), good.GetWalletKey()) || g.GetExpiresAt() != good.GetExpiresAt()) {
			t.Errorf("forged: %v", &g)
		}
	})
}
