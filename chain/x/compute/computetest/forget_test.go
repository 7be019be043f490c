package computetest

import (
	"bytes"
	"slices"
	"testing"

	"cosmossdk.io/collections"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/vm"
)

// withInstances gives a VM instances up to a number without receipts, as if they had been dealt and, but for the last, used up.
func (w *world) withInstances(id string, last uint32) {
	w.t.Helper()
	w.Break() // no committee is kept for them
	v := w.vm(id)
	set := func(key []byte, err1 error, value []byte, err2 error) {
		if err1 != nil || err2 != nil {
			w.t.Fatal(err1, err2)
		}
		w.Store("compute").Set(key, value)
	}
	for seq := uint32(len(v.Instances)) + 1; seq <= last; seq++ {
		in := v.Instances[0]
		in.Seq, in.MeshCertFingerprint = seq, hash(id+"mesh"+string(rune(seq)))
		key, err1 := collections.EncodeKeyWithPrefix(computetypes.InstancesPrefix(), collections.PairKeyCodec(collections.StringKey, collections.Uint32Key), collections.Join(id, seq))
		value, err2 := in.Marshal()
		set(key, err1, value, err2)
	}
	v.Status.InstanceSeq = last
	v.Instances, v.AuthorizedKeys, v.Status.Attestation = nil, nil, computetypes.Attestation{}
	key, err1 := collections.EncodeKeyWithPrefix(computetypes.VMsPrefix(), collections.StringKey, id)
	value, err2 := v.Marshal()
	set(key, err1, value, err2)
}

// Tombstones are forgotten by the instances that they have: what is beyond a block's part follows in the next ones, in order.
func TestTombstonesOfManyInstances(t *testing.T) {
	const vms, each, perBlock = 3, computetypes.MaxInstanceSeq, 1000
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	var ids []string
	for i := range vms {
		id := w.create(a, "web-"+string(rune('a'+i)))
		w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
		w.is(id, vm.Terminated, vm.ReasonTenant)
		w.withInstances(id, each)
		w.NextBlock(1) // the order in which they ended
		ids = append(ids, id)
	}
	left := func() (n []int) {
		for _, id := range ids {
			r, err := w.compute.VM(w.Ctx(), &computetypes.QueryVMRequest{Id: id})
			if err != nil {
				n = append(n, 0)
				continue
			}
			n = append(n, len(r.Vm.Instances))
		}
		return n
	}
	sum := func(n []int) (all int) {
		for _, x := range n {
			all += x
		}
		return all
	}
	before := left()
	w.NextBlock(7*24*3600 + 1)
	blocks := 0
	for ; sum(before) > 0 && blocks < 100; blocks++ {
		now := left()
		if gone := sum(before) - sum(now); gone > perBlock || gone == 0 {
			t.Fatalf("block %d deleted %d instances: %v", blocks, gone, now)
		}
		if now[0] > 0 && now[1] < each || now[1] > 0 && now[2] < each {
			t.Fatalf("out of order: %v", now)
		}
		if err := w.App.CheckInvariants(w.Ctx()); err != nil {
			t.Fatalf("%v: %v", now, err)
		}
		if before = now; blocks == 1 { // a part of one is gone
			fork, exported := w.Fork()
			if imported := fork.Imported(); !bytes.Equal(exported, imported) {
				t.Errorf("exported are %d bytes, and of what was imported %d", len(exported), len(imported))
			}
		}
		w.NextBlock(1)
	}
	if want := vms*each/perBlock + 1; blocks != want {
		t.Errorf("%d blocks, want %d", blocks, want)
	}
}

// The end of a VM costs the same however many instances it used up, and revokes the one that it has: the others were revoked when
// they were left. So it pushes no other revocation out of the tenant's list.
func TestEndOfAVMWithManyInstances(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	few, many := w.running(a, "web-1"), w.running(a, "web-2")
	stolen := hash("a stolen laptop")
	w.MustDeliver(a, &meshtypes.MsgRevoke{Owner: a.Address, Fingerprints: [][]byte{stolen}})
	w.withInstances(many, computetypes.MaxInstanceSeq)
	w.NextBlock(1)
	last := w.vm(many).Instances[computetypes.MaxInstanceSeq-1].MeshCertFingerprint
	first := w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: few})
	second := w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: many})
	if d := second.GasUsed - first.GasUsed; d > 5000 || d < -5000 {
		t.Errorf("the end took %d gas, and %d of a VM with %d instances", first.GasUsed, second.GasUsed, computetypes.MaxInstanceSeq)
	}
	revoked := w.block(a).Revoked
	for what, f := range map[string][]byte{"what the tenant revoked": stolen, "the VM's instance": last} {
		if !slices.ContainsFunc(revoked, func(x []byte) bool { return bytes.Equal(x, f) }) {
			t.Errorf("%s is not among the %d revoked", what, len(revoked))
		}
	}
}
