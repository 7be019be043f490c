package computetest

import (
	"encoding/binary"
	"fmt"
	"testing"

	"cosmossdk.io/collections"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
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

// asked is the page that clients ask for.
const asked = 64

// halfMiB is an instance as large as many are.
func halfMiB() computetypes.Instance {
	return computetypes.Instance{Seq: 1, GuestKey: make([]byte, 1<<19)}
}

// largeVMs gives an owner VMs with an instance each, all held by one miner: the records are written, but not all that belongs to them.
func largeVMs(t *testing.T, vms int, in computetypes.Instance) (h *apptest.Harness, owner, miner string) {
	t.Helper()
	h = apptest.New(t, apptest.Options{})
	h.Break()
	owner, miner = apptest.Named("owner").Address, apptest.Named("miner").Address
	set := func(key []byte, err error, value []byte) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		h.Store("compute").Set(key, value)
	}
	str, i64 := collections.StringKey, collections.Int64Key
	for i := range vms {
		v := computetypes.VM{Id: fmt.Sprintf("%032x", i), Owner: owner, ChangedHeight: int64(1 + i), Status: computetypes.VMStatus{Miner: miner, InstanceSeq: 1}}
		value, err := v.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		key, err := collections.EncodeKeyWithPrefix(computetypes.VMsPrefix(), str, v.Id)
		set(key, err, value)
		key, err = collections.EncodeKeyWithPrefix(computetypes.LivePrefix(), collections.PairKeyCodec(str, str), collections.Join(owner, v.Id))
		set(key, err, []byte{})
		key, err = collections.EncodeKeyWithPrefix(computetypes.MinersPrefix(), collections.TripleKeyCodec(str, i64, str), collections.Join3(miner, v.ChangedHeight, v.Id))
		set(key, err, []byte{})
		if value, err = in.Marshal(); err != nil {
			t.Fatal(err)
		}
		key, err = collections.EncodeKeyWithPrefix(computetypes.InstancesPrefix(), collections.PairKeyCodec(str, collections.Uint32Key), collections.Join(v.Id, in.Seq))
		set(key, err, value)
	}
	h.NextBlock(1)
	return h, owner, miner
}

// An owner's VMs with many instances are listed in pages that a client accepts, by key and by offset.
func TestPagesOfVMsWithInstances(t *testing.T) {
	const vms = 46
	h, owner, _ := largeVMs(t, vms, halfMiB())
	q := computekeeper.NewQueryServer(h.App.Keepers.Compute)
	for _, by := range []string{"key", "offset"} {
		seen := map[string]bool{}
		for page := (&query.PageRequest{Limit: asked, CountTotal: true}); ; {
			r, err := q.VMs(h.Ctx(), &computetypes.QueryVMsRequest{Owner: owner, Pagination: page})
			if err != nil {
				t.Fatal(err)
			}
			if n := r.Size(); n > client.MaxAnswer {
				t.Fatalf("a page of %d VMs has %d bytes; a client accepts %d", len(r.Vms), n, client.MaxAnswer)
			}
			for _, v := range r.Vms {
				seen[v.Id] = true
			}
			if total := r.Pagination.Total; page.CountTotal && total != vms {
				t.Errorf("by %s: %d VMs in all", by, total)
			}
			if len(r.Pagination.NextKey) == 0 {
				break
			}
			if by == "key" {
				page = &query.PageRequest{Limit: asked, Key: r.Pagination.NextKey}
			} else {
				page = &query.PageRequest{Limit: asked, Offset: uint64(len(seen)), CountTotal: true}
			}
		}
		if len(seen) != vms {
			t.Errorf("by %s: %d of %d VMs are listed", by, len(seen), vms)
		}
	}
}

// A miner's VMs with many instances are listed in pages that a client accepts, all of them and those that changed.
func TestPagesOfMinersVMsWithInstances(t *testing.T) {
	const vms = 64
	h, _, miner := largeVMs(t, vms, halfMiB())
	q := computekeeper.NewQueryServer(h.App.Keepers.Compute)
	for _, everything := range []bool{true, false} {
		seen := map[string]bool{}
		for req := (&computetypes.QueryMinerVMsRequest{Miner: miner, Limit: asked, All: everything}); ; {
			r, err := q.MinerVMs(h.Ctx(), req)
			if err != nil {
				t.Fatal(err)
			}
			if n := r.Size(); n > client.MaxAnswer {
				t.Fatalf("a page of %d VMs has %d bytes; a client accepts %d", len(r.Vms), n, client.MaxAnswer)
			}
			for _, v := range r.Vms {
				seen[v.Id] = true
				req.AfterId = v.Id
				if !everything {
					req.AfterHeight = v.ChangedHeight
				}
			}
			if !r.More {
				break
			}
		}
		if len(seen) != vms {
			t.Errorf("all %t: %d of %d VMs are listed", everything, len(seen), vms)
		}
	}
}

// What miners are not told of an instance, the receipts, is read all the same: a page is bounded by what is read for it.
func TestPageOfAMinersVMsIsReadWithinBounds(t *testing.T) {
	const vms, large = 64, 1 << 19
	h, _, miner := largeVMs(t, vms, computetypes.Instance{Seq: 1, Receipts: []computetypes.KeeperReceipt{{Signature: make([]byte, large)}}})
	q := computekeeper.NewQueryServer(h.App.Keepers.Compute)
	for _, everything := range []bool{true, false} {
		ctx := h.Ctx().WithGasMeter(storetypes.NewInfiniteGasMeter())
		r, err := q.MinerVMs(ctx, &computetypes.QueryMinerVMsRequest{Miner: miner, Limit: asked, All: everything})
		if err != nil {
			t.Fatal(err)
		}
		most := 2 * storetypes.KVGasConfig().ReadCostPerByte * // a walk charges a record twice
			(computekeeper.MaxPageBytes + 2*large)
		if gas := ctx.GasMeter().GasConsumed(); gas > most || !r.More || len(r.Vms) == 0 {
			t.Errorf("all %t: a page of %d VMs, more %t, takes %d gas; at most %d", everything, len(r.Vms), r.More, gas, most)
		}
	}
}
