package cli

import (
	"strings"
	"testing"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/core/mesh"
)

func vmAt(addr string, phase computev1.Phase) *computev1.VM {
	return &computev1.VM{Spec: &computev1.VMSpec{MeshAddress: addr}, Status: &computev1.VMStatus{Phase: phase}}
}

func TestFreeAddressIsTheLowest(t *testing.T) {
	const index = 5
	tenant := &meshv1.Tenant{Index: index}
	at := func(host uint32) string { return mustAddr(t, index, host).String() }
	running, terminating, terminated := computev1.Phase_PHASE_RUNNING, computev1.Phase_PHASE_TERMINATING, computev1.Phase_PHASE_TERMINATED
	for name, c := range map[string]struct {
		vms  []*computev1.VM
		want uint32
	}{
		"none":                      {nil, mesh.FirstVM},
		"the first taken":           {[]*computev1.VM{vmAt(at(2), running)}, 3},
		"a gap":                     {[]*computev1.VM{vmAt(at(2), running), vmAt(at(4), running)}, 3},
		"one that ends holds it":    {[]*computev1.VM{vmAt(at(2), terminating)}, 3},
		"one that ended gives back": {[]*computev1.VM{vmAt(at(2), terminated)}, 2},
		"one freed lately waits":    {[]*computev1.VM{endedAt(vmAt(at(2), terminated), 50)}, 3},
		"another block's":           {[]*computev1.VM{vmAt("100.64.9.2", running)}, 2},
	} {
		got, err := freeAddress(tenant, c.vms)
		if err != nil || got.String() != at(c.want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, at(c.want))
		}
	}
	var all []*computev1.VM
	for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
		all = append(all, vmAt(at(host), running))
	}
	var ended []*computev1.VM
	for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
		ended = append(ended, endedAt(vmAt(at(host), terminated), 100-int64(host)))
	}
	if got, err := freeAddress(tenant, ended); err != nil || got.String() != at(mesh.LastVM) {
		t.Errorf("all were used: %s, %v; want the one free the longest, %s", got, err, at(mesh.LastVM))
	}
	if _, err := freeAddress(tenant, all); err == nil || !strings.Contains(err.Error(), "all 46 addresses") {
		t.Errorf("a full block: %v", err)
	}
}

func endedAt(vm *computev1.VM, at int64) *computev1.VM {
	vm.TerminatedAt = at
	return vm
}

// A machine is found by the start of its id where that is long enough and only one's.
func TestMachineByTheStartOfItsID(t *testing.T) {
	vms := []*computev1.VM{{Id: "abcd1111"}, {Id: "abcd2222"}, {Id: "ef010203"}}
	for ref, want := range map[string]string{"ef01": "ef010203", "abcd1": "abcd1111", "abcd2222": "abcd2222"} {
		if v, err := byPrefix(vms, ref); err != nil || v.GetId() != want {
			t.Errorf("%s: got %s, %v", ref, v.GetId(), err)
		}
	}
	for ref, words := range map[string]string{
		"abcd": `"abcd" is the start of 2 machines' ids; give more of it`, "ef0": `you have no machine "ef0"`, "": `you have no machine ""`,
		"1111": `you have no machine "1111"`, "ef0102030": `you have no machine`,
	} {
		if _, err := byPrefix(vms, ref); err == nil || !strings.Contains(err.Error(), words) || hint(err) == "" {
			t.Errorf("%q: %v, hint %q", ref, err, hint(err))
		}
	}
}

func TestInstancesAreDealtWhenFewAreLeft(t *testing.T) {
	vm := func(phase computev1.Phase, dealt, present uint32) *computev1.VM {
		v := &computev1.VM{Status: &computev1.VMStatus{Phase: phase, InstanceSeq: present}}
		for seq := uint32(1); seq <= dealt; seq++ {
			v.Instances = append(v.Instances, &computev1.Instance{Seq: seq})
		}
		return v
	}
	running := computev1.Phase_PHASE_RUNNING
	for _, c := range []struct {
		vm    *computev1.VM
		first uint32
		count int
	}{
		{vm(running, 8, 1), 0, 0},
		{vm(running, 8, 5), 0, 0},
		{vm(running, 8, 6), 9, 8},
		{vm(running, 8, 8), 9, 8},
		{vm(computev1.Phase_PHASE_PENDING, 2, 0), 3, 8},
		{vm(computev1.Phase_PHASE_TERMINATING, 8, 8), 0, 0},
		{vm(computev1.Phase_PHASE_TERMINATED, 8, 8), 0, 0},
	} {
		if first, count := missingInstances(c.vm); first != c.first || count != c.count {
			t.Errorf("%s: %d from %d; want %d from %d", c.vm, count, first, c.count, c.first)
		}
	}
}
