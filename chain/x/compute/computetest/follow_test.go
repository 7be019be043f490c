package computetest

import (
	"fmt"
	"slices"
	"testing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// follower keeps what a miner would: the ids it holds, by the cursor alone.
type follower struct {
	w      *world
	miner  string
	cursor int64
	held   map[string]computetypes.VM
}

func (f *follower) step() {
	f.w.t.Helper()
	req := &computetypes.QueryMinerVMsRequest{Miner: f.miner, AfterHeight: f.cursor, Limit: 2}
	next := int64(-1)
	for {
		r, err := f.w.compute.MinerVMs(f.w.Ctx(), req)
		if err != nil {
			f.w.t.Fatal(err)
		}
		if next < 0 {
			next = r.Height
		}
		for _, id := range r.Released {
			delete(f.held, id)
		}
		for _, v := range r.Vms {
			f.held[v.Id] = v
			req.AfterHeight, req.AfterId = v.ChangedHeight, v.Id
		}
		if !r.More {
			break
		}
	}
	f.cursor = next
}

// check compares with the full listing.
func (f *follower) check() {
	f.w.t.Helper()
	req := &computetypes.QueryMinerVMsRequest{Miner: f.miner, All: true, Limit: 2}
	n := 0
	for {
		r, err := f.w.compute.MinerVMs(f.w.Ctx(), req)
		if err != nil {
			f.w.t.Fatal(err)
		}
		for _, v := range r.Vms {
			n++
			req.AfterId = v.Id
			if got, ok := f.held[v.Id]; !ok || got.Generation != v.Generation || got.Status.Phase != v.Status.Phase || got.Status.InstanceSeq != v.Status.InstanceSeq {
				f.w.t.Fatalf("%s: the follower has %+v, the chain %+v", f.w, got.Status, v.Status)
			}
		}
		if !r.More {
			break
		}
	}
	if n != len(f.held) {
		f.w.t.Fatalf("%s: the follower holds %d VMs, the chain says %d", f.w, len(f.held), n)
	}
}

func TestCursorMissesNothing(t *testing.T) {
	w := newWorld(t, nil)
	m0, m1 := w.miner("miner0"), w.miner("miner1")
	a := w.tenant("tenant")
	f := []*follower{{w: w, miner: m0.Address, held: map[string]computetypes.VM{}}, {w: w, miner: m1.Address, held: map[string]computetypes.VM{}}}
	sync := func() {
		for _, x := range f {
			x.step()
			x.check()
		}
	}
	var ids []string
	for i := range 5 {
		ids = append(ids, w.create(a, fmt.Sprint("vm-", i)))
		if i%2 == 0 {
			sync()
		}
	}
	w.boot(ids[0])
	w.boot(ids[1])
	sync()
	w.alive(40, 10, m0, m1) // the rest moves to the other miner
	sync()
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: ids[0]})
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: ids[1]})
	sync()
	w.report(w.says(ids[1], vm.Terminated))
	w.report(w.says(ids[0], vm.Stopped))
	sync()
	w.alive(200, 10, m0, m1)
	sync()

	// What a miner is given is what it needs.
	r, err := w.compute.MinerVMs(w.Ctx(), &computetypes.QueryMinerVMsRequest{Miner: w.holder(ids[0]).Address, All: true})
	if err != nil || r.Head.Height != w.Height() || r.Height != w.Height() {
		t.Fatalf("%+v, %v", r, err)
	}
	i := slices.IndexFunc(r.Vms, func(v computetypes.VM) bool { return v.Id == ids[0] })
	if v := r.Vms[i]; len(v.Instances) != int(v.Status.InstanceSeq) || v.Instances[0].Receipts != nil || len(v.AuthorizedKeys) != 1 || v.Size_.Vcpus != 1 {
		t.Fatalf("%+v", v)
	}

	// A week later the past is forgotten, and old cursors are told so.
	w.NextBlock(7*24*3600 + 1)
	r, err = w.compute.MinerVMs(w.Ctx(), &computetypes.QueryMinerVMsRequest{Miner: m0.Address, AfterHeight: 2})
	if err != nil || r.OldestHeight <= 2 {
		t.Fatalf("oldest height %d, %v", r.OldestHeight, err)
	}
}

// Released ids come with the page that spans their height, and with no other.
func TestReleasedAreCutWithThePages(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	var ids []string
	for i := range 4 {
		ids = append(ids, w.create(a, fmt.Sprint("vm-", i)))
	}
	end := func(id string) {
		w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
		w.report(w.says(id, vm.Terminated))
	}
	start := w.Height()
	end(ids[0])
	w.report(w.says(ids[1], vm.Provisioning))
	w.report(w.says(ids[2], vm.Provisioning))
	end(ids[3])
	page := func(r *computetypes.QueryMinerVMsRequest) *computetypes.QueryMinerVMsResponse {
		out, err := w.compute.MinerVMs(w.Ctx(), r)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	one := page(&computetypes.QueryMinerVMsRequest{Miner: m.Address, AfterHeight: start, Limit: 1})
	if !one.More || one.Vms[0].Id != ids[1] || !slices.Equal(one.Released, []string{ids[0]}) {
		t.Fatalf("%v, %v, %t", one.Vms[0].Id, one.Released, one.More)
	}
	two := page(&computetypes.QueryMinerVMsRequest{Miner: m.Address, AfterHeight: one.Vms[0].ChangedHeight, AfterId: ids[1], Limit: 1})
	if two.More || two.Vms[0].Id != ids[2] || !slices.Equal(two.Released, []string{ids[3]}) {
		t.Fatalf("%v, %v, %t", two.Vms[0].Id, two.Released, two.More)
	}
	for _, bad := range []*computetypes.QueryMinerVMsRequest{{Miner: "x"}, {Miner: m.Address, AfterHeight: -1}, {Miner: m.Address, AfterId: "x"}} {
		if _, err := w.compute.MinerVMs(w.Ctx(), bad); err == nil {
			t.Errorf("%+v answered", bad)
		}
	}
}

func TestOwnersList(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	keep, end := w.create(a, "keep"), w.create(a, "end")
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: end})
	w.report(w.says(end, vm.Terminated))
	for _, c := range []struct {
		terminated bool
		want       int
	}{{false, 1}, {true, 2}} {
		r, err := w.compute.VMs(w.Ctx(), &computetypes.QueryVMsRequest{Owner: a.Address, Terminated: c.terminated})
		if err != nil || len(r.Vms) != c.want {
			t.Fatalf("terminated %t: %d VMs, %v", c.terminated, len(r.Vms), err)
		}
		if !slices.ContainsFunc(r.Vms, func(v computetypes.VM) bool { return v.Id == keep }) {
			t.Fatal("the living VM is missing")
		}
	}
}
