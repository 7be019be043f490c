package computetest

import (
	"encoding/binary"
	"fmt"
	"testing"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	meshkeeper "github.com/hippius/compute/chain/x/mesh/keeper"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/mesh"
)

// Tenants with as many revocations as there may be are listed in pages that a client accepts.
func TestPagesOfTenantsWithRevocations(t *testing.T) {
	const tenants = 130
	h := apptest.New(t, apptest.Options{})
	h.Break() // the records are written, but not all that belongs to them
	for i := range tenants {
		r := meshtypes.Tenant{Owner: apptest.Named(fmt.Sprint("t", i)).Address, Index: uint32(i), Networks: meshtypes.NetworksOf(mesh.Block(i)), ChangedHeight: 1}
		for j := range uint32(meshtypes.MaxRevocations) {
			r.Revoked = append(r.Revoked, binary.BigEndian.AppendUint32(make([]byte, meshtypes.FingerprintSize-4), j))
		}
		value, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		record, err1 := collections.EncodeKeyWithPrefix(meshtypes.TenantsPrefix(), collections.StringKey, r.Owner)
		changed, err2 := collections.EncodeKeyWithPrefix(meshtypes.ChangedPrefix(), collections.PairKeyCodec(collections.Int64Key, collections.StringKey),
			collections.Join(r.ChangedHeight, r.Owner))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		h.Store("mesh").Set(record, value)
		h.Store("mesh").Set(changed, []byte{})
	}
	h.NextBlock(1)
	q := meshkeeper.NewQueryServer(h.App.Keepers.Mesh)
	seen := map[string]bool{}
	for req := (&meshtypes.QueryTenantsRequest{Limit: 256}); ; { // as clients ask
		r, err := q.Tenants(h.Ctx(), req)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Size(); n > client.MaxAnswer {
			t.Fatalf("a page of %d tenants has %d bytes; a client accepts %d", len(r.Tenants), n, client.MaxAnswer)
		}
		for _, x := range r.Tenants {
			seen[x.Owner] = true
			req.AfterHeight, req.AfterOwner = x.ChangedHeight, x.Owner
		}
		if !r.More {
			break
		}
	}
	if len(seen) != tenants {
		t.Errorf("%d of %d tenants are listed", len(seen), tenants)
	}
}
