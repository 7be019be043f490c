package tenant

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
	at := func(host uint32) string {
		addr, err := mesh.Block(index).Addr(host)
		if err != nil {
			t.Fatal(err)
		}
		return addr.String()
	}
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
		got, err := FreeAddress(index, c.vms)
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
	if got, err := FreeAddress(index, ended); err != nil || got.String() != at(mesh.LastVM) {
		t.Errorf("all were used: %s, %v; want the one free the longest, %s", got, err, at(mesh.LastVM))
	}
	if _, err := FreeAddress(index, all); err == nil || !strings.Contains(err.Error(), "all 46 addresses") {
		t.Errorf("a full block: %v", err)
	}
}

func endedAt(v vm.VM, at int64) vm.VM {
	v.TerminatedAt = at
	return v
}
