package cli

import (
	"strings"
	"testing"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

func vmAt(addr string, phase vm.Phase) vm.VM {
	return vm.VM{Spec: vm.Spec{MeshAddress: addr}, Status: vm.Status{Phase: phase}}
}

func TestFreeAddressIsTheLowest(t *testing.T) {
	const index = 5
	tenant := mesh.Tenant{Block: index}
	at := func(host uint32) string { return mustAddr(t, index, host).String() }
	running, terminating, terminated := vm.Running, vm.Terminating, vm.Terminated
	for name, c := range map[string]struct {
		vms  []vm.VM
		want uint32
	}{
		"none":                      {nil, mesh.FirstVM},
		"the first taken":           {[]vm.VM{vmAt(at(2), running)}, 3},
		"a gap":                     {[]vm.VM{vmAt(at(2), running), vmAt(at(4), running)}, 3},
		"one that ends holds it":    {[]vm.VM{vmAt(at(2), terminating)}, 3},
		"one that ended gives back": {[]vm.VM{vmAt(at(2), terminated)}, 2},
		"one freed lately waits":    {[]vm.VM{endedAt(vmAt(at(2), terminated), 50)}, 3},
		"another block's":           {[]vm.VM{vmAt("100.64.9.2", running)}, 2},
	} {
		got, err := freeAddress(tenant, c.vms)
		if err != nil || got.String() != at(c.want) {
			t.Errorf("%s: %s, %v; want %s", name, got, err, at(c.want))
		}
	}
	var all []vm.VM
	for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
		all = append(all, vmAt(at(host), running))
	}
	var ended []vm.VM
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

func endedAt(v vm.VM, at int64) vm.VM {
	v.TerminatedAt = at
	return v
}

// A machine is found by the start of its id where that is long enough and only one's.
func TestMachineByTheStartOfItsID(t *testing.T) {
	vms := []vm.VM{{ID: "abcd1111"}, {ID: "abcd2222"}, {ID: "ef010203"}}
	for ref, want := range map[string]string{"ef01": "ef010203", "abcd1": "abcd1111", "abcd2222": "abcd2222"} {
		if v, err := byPrefix(vms, ref); err != nil || v.ID != vm.ID(want) {
			t.Errorf("%s: got %s, %v", ref, v.ID, err)
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
	made := func(phase vm.Phase, dealt, present uint32) vm.VM {
		v := vm.VM{Status: vm.Status{Phase: phase, InstanceSeq: present}}
		for seq := uint32(1); seq <= dealt; seq++ {
			v.Instances = append(v.Instances, vm.Instance{Seq: seq})
		}
		return v
	}
	running := vm.Running
	for _, c := range []struct {
		v     vm.VM
		first uint32
		count int
	}{
		{made(running, 8, 1), 0, 0},
		{made(running, 8, 5), 0, 0},
		{made(running, 8, 6), 9, 8},
		{made(running, 8, 8), 9, 8},
		{made(vm.Pending, 2, 0), 3, 8},
		{made(vm.Terminating, 8, 8), 0, 0},
		{made(vm.Terminated, 8, 8), 0, 0},
	} {
		if first, count := missingInstances(c.v); first != c.first || count != c.count {
			t.Errorf("%s: %d from %d; want %d from %d", c.v.Status.Phase, count, first, c.count, c.first)
		}
	}
}
