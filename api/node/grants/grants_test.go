package grants

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/internal/wallet"
)

func TestSignVerify(t *testing.T) {
	w, err := wallet.FromKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	other, err := wallet.FromKey(bytes.Repeat([]byte{8}, 32))
	require.NoError(t, err)
	now := time.Unix(1_000_000, 0)
	want := grant.Want{
		Purpose: grant.Deal, ChainID: "c", VMID: "v", Now: now,
		Audience: bytes.Repeat([]byte{1}, 32), ClientKey: bytes.Repeat([]byte{2}, 32),
	}
	good, err := Sign(w, grant.Grant{
		Purpose: want.Purpose, ChainID: want.ChainID, VMID: want.VMID,
		Audience: want.Audience, ClientKey: want.ClientKey, ExpiresAt: now.Add(time.Minute).Unix(),
	})
	require.NoError(t, err)
	owner, err := Verify(good, want)
	require.NoError(t, err)
	require.Equal(t, w.Address(), owner)

	for name, change := range map[string]func(*grantv1.Grant){
		"purpose":        func(g *grantv1.Grant) { g.Purpose = string(grant.Console) },
		"chain":          func(g *grantv1.Grant) { g.ChainId = "d" },
		"vm":             func(g *grantv1.Grant) { g.VmId = "w" },
		"audience":       func(g *grantv1.Grant) { g.Audience[0]++ },
		"client":         func(g *grantv1.Grant) { g.ClientKey[0]++ },
		"expired":        func(g *grantv1.Grant) { g.ExpiresAt = now.Unix() },
		"too long":       func(g *grantv1.Grant) { g.ExpiresAt = now.Add(2 * time.Hour).Unix() },
		"expiry forged":  func(g *grantv1.Grant) { g.ExpiresAt++ },
		"wallet swapped": func(g *grantv1.Grant) { g.WalletKey = other.PublicKey() },
		"no wallet":      func(g *grantv1.Grant) { g.WalletKey = nil },
		"signature":      func(g *grantv1.Grant) { g.Signature[9] ^= 1 },
		"no signature":   func(g *grantv1.Grant) { g.Signature = nil },
	} {
		bad, ok := proto.Clone(good).(*grantv1.Grant)
		require.True(t, ok)
		change(bad)
		_, err := Verify(bad, want)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	_, err = Verify(nil, want)
	require.ErrorIs(t, err, ErrInvalid)
}
