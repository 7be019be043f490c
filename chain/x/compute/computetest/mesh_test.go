package computetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
)

func TestTenants(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a, b := w.tenant("tenant"), w.tenant("other")
	if got := w.block(a).Networks; !slices.Equal(got, []string{"100.64.0.0/26", "fd68::/48"}) {
		t.Fatalf("networks %v", got)
	}
	if got := w.block(b).Networks; !slices.Equal(got, []string{"100.64.0.64/26", "fd68:0:1::/48"}) {
		t.Fatalf("networks %v", got)
	}
	w.refused(meshtypes.ErrInvalid, a, &meshtypes.MsgSetTenantCA{Owner: a.Address, Certificate: make([]byte, 1025)})
	w.refused(meshtypes.ErrInvalid, a, &meshtypes.MsgSetTenantCA{Owner: a.Address})
	w.refused(meshtypes.ErrNoTenant, apptest.Named("miner0"), &meshtypes.MsgSetTenantCA{Owner: apptest.Named("miner0").Address, Certificate: []byte{1}})
	w.MustDeliver(a, &meshtypes.MsgSetTenantCA{Owner: a.Address, Certificate: []byte("certificate")})

	// Registered again with the same key nothing changes; with another the old authority ends.
	again := &meshtypes.MsgRegisterTenant{Owner: a.Address, CaPublicKey: public("tenant-ca")}
	w.MustDeliver(a, again, &meshtypes.MsgRevoke{Owner: a.Address, Fingerprints: [][]byte{hash("x")}})
	if got := w.block(a); string(got.CaCertificate) != "certificate" || len(got.Revoked) != 1 {
		t.Fatalf("%+v", got)
	}
	again.CaPublicKey = public("new-ca")
	w.MustDeliver(a, again)
	if got := w.block(a); got.Index != 0 || got.CaCertificate != nil || got.Revoked != nil {
		t.Fatalf("%+v", got)
	}

	// Without a VM the block goes after a day, and the lowest free is given next. With one it stays.
	id := w.create(b, "web-1")
	w.NextBlock(24*3600 - 1)
	w.block(a)
	w.NextBlock(1)
	if _, err := w.mesh.Tenant(w.Ctx(), &meshtypes.QueryTenantRequest{Owner: a.Address}); err == nil {
		t.Fatal("the block was not released")
	}
	r, err := w.mesh.Tenants(w.Ctx(), &meshtypes.QueryTenantsRequest{AfterHeight: w.Height() - 1})
	if err != nil || len(r.Tenants) != 1 || r.Tenants[0].Owner != a.Address || len(r.Tenants[0].Networks) != 0 {
		t.Fatalf("followers are told %+v, %v", r, err)
	}
	m := w.tenantOnly("miner1")
	if got := w.block(m).Index; got != 0 {
		t.Fatalf("block %d", got)
	}
	if got := w.block(w.tenantOnly("tenant")).Index; got != 2 {
		t.Fatalf("block %d", got)
	}
	// A day after its last VM, which no miner took.
	w.pass(30)
	w.MustDeliver(b, &computetypes.MsgTerminateVM{Owner: b.Address, VmId: id})
	if w.block(b).ReleaseAt != w.Now()+24*3600 {
		t.Fatalf("%+v", w.block(b))
	}
	w.refused(markettypes.ErrInsufficient, apptest.Named("poor"), &meshtypes.MsgRegisterTenant{Owner: apptest.Named("poor").Address, CaPublicKey: public("ca")})
}

func (w *world) tenantOnly(name string) apptest.Account {
	w.t.Helper()
	a := apptest.Named(name)
	w.MustDeliver(a, &meshtypes.MsgRegisterTenant{Owner: a.Address, CaPublicKey: public(name + "-ca")})
	return a
}

func TestDevicesAndRevocations(t *testing.T) {
	w := newWorld(t, map[string]string{"mesh": `{"params":{"max_revocations":70}}`})
	a := w.tenant("tenant")
	add := func(name string) *meshtypes.MsgAddDevice {
		return &meshtypes.MsgAddDevice{Owner: a.Address, Name: name}
	}
	for i := range 15 {
		var r meshtypes.MsgAddDeviceResponse
		if err := w.MustDeliver(a, add(fmt.Sprint("laptop-", i))).Response(0, &r); err != nil {
			t.Fatal(err)
		}
		if want := w.address(a, uint32(48+i)); r.Device.Address != want || r.Device.Host != uint32(48+i) {
			t.Fatalf("device %d: %+v", i, r.Device)
		}
	}
	w.refused(meshtypes.ErrDevicesFull, a, add("one-more"))
	w.refused(meshtypes.ErrDeviceExists, a, add("laptop-3"))
	w.refused(meshtypes.ErrInvalid, a, add("My Laptop"))
	w.refused(meshtypes.ErrNoDevice, a, &meshtypes.MsgRemoveDevice{Owner: a.Address, Name: "phone"})
	w.MustDeliver(a, &meshtypes.MsgRemoveDevice{Owner: a.Address, Name: "laptop-3"}, add("phone"))
	if d := w.block(a).Devices; d[len(d)-1].Host != 51 {
		t.Fatalf("%+v", d)
	}
	revoke := func(from, n int) *meshtypes.MsgRevoke {
		m := &meshtypes.MsgRevoke{Owner: a.Address}
		for i := range n {
			m.Fingerprints = append(m.Fingerprints, hash(fmt.Sprint(from+i)))
		}
		return m
	}
	w.refused(meshtypes.ErrInvalid, a, revoke(0, 0))
	w.refused(meshtypes.ErrInvalid, a, revoke(0, 65))
	w.refused(meshtypes.ErrInvalid, a, &meshtypes.MsgRevoke{Owner: a.Address, Fingerprints: [][]byte{{1}}})
	w.MustDeliver(a, revoke(0, 64))
	w.MustDeliver(a, revoke(60, 10)) // four are known
	if n := len(w.block(a).Revoked); n != 70 {
		t.Fatalf("%d revoked", n)
	}
	w.refused(meshtypes.ErrRevocationsFull, a, revoke(70, 1))
	// A VM's end is revoked all the same; the oldest gives way.
	w.miner("miner0")
	id := w.create(a, "web-1")
	fingerprint := w.vm(id).Instances[0].MeshCertFingerprint
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	if r := w.block(a).Revoked; len(r) != 70 || !slices.Equal(r[69], fingerprint) || slices.Equal(r[0], hash("0")) {
		t.Fatalf("%d revoked", len(r))
	}
}

func TestTenantsAreFollowedByPages(t *testing.T) {
	w := newWorld(t, nil)
	want := map[string]bool{}
	for i := range 6 {
		want[w.tenantOnly(fmt.Sprintf("miner%d", i)).Address] = true
	}
	cursor := &meshtypes.QueryTenantsRequest{Limit: 4}
	seen := map[string]bool{}
	for page := 1; ; page++ {
		r, err := w.mesh.Tenants(w.Ctx(), cursor)
		if err != nil || page > 2 {
			t.Fatalf("page %d: %v", page, err)
		}
		for _, x := range r.Tenants {
			if seen[x.Owner] || !want[x.Owner] {
				t.Fatalf("%s comes twice or should not", x.Owner)
			}
			seen[x.Owner] = true
			cursor.AfterHeight, cursor.AfterOwner = x.ChangedHeight, x.Owner
		}
		if !r.More {
			break
		}
	}
	if len(seen) != 6 {
		t.Fatalf("%d tenants", len(seen))
	}
}
