package computetest

import (
	"encoding/binary"
	"fmt"
	"testing"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	"github.com/hippius/compute/core/vm"
)

// What an import reads and writes for a VM does not depend on how many there are.
func TestImportTakesTheSameForEveryVM(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	w.running(a, "template")
	g, err := w.App.Keepers.Compute.ExportGenesis(w.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	one := g.Vms[0]
	gas := func(n int) uint64 {
		g.Vms = nil
		for i := range n {
			v := one
			v.Nonce = binary.BigEndian.AppendUint32(make([]byte, len(one.Nonce)-4), uint32(i))
			id, err := vm.NewID(v.Owner, v.Nonce)
			if err != nil {
				t.Fatal(err)
			}
			v.Id, v.Spec.Name, v.Spec.MeshAddress = string(id), fmt.Sprintf("vm-%06d", i), w.address(a, uint32(2+i))
			g.Vms = append(g.Vms, v)
		}
		ctx, _ := w.Ctx().CacheContext()
		ctx = ctx.WithGasMeter(storetypes.NewInfiniteGasMeter())
		if err := w.App.Keepers.Compute.InitGenesis(ctx, *g); err != nil {
			t.Fatal(err)
		}
		return ctx.GasMeter().GasConsumed()
	}
	none := gas(0)
	few, many := (gas(4)-none)/4, (gas(40)-none)/40 // as many as a tenant has addresses for
	if few == 0 || many > few+few/20 {
		t.Errorf("one of 4 VMs takes %d gas, one of 40 takes %d", few, many)
	}
}
