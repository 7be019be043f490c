package computetest

import (
	"fmt"
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/hippius/compute/chain/app/apptest"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// A network of new miners takes VMs that last: what has proven itself for an hour, here of 200 s, holds no place of a newcomer's.
func TestNewMinersTakeLastingVMs(t *testing.T) {
	for _, liars := range []int{0, 20} {
		t.Run(fmt.Sprintf("%d liars", liars), func(t *testing.T) {
			tr := newTrial(t, 125)
			tr.hour(200)
			tr.join(100, liars, failsAtOnce, func(_ bool, m *registrytypes.MsgRegisterMiner) { small(8)(m) })
			var ids []string
			running := map[string]bool{}
			for hour, each := range []int{2, 1, 1} { // no more at a time than honest miners take
				ids = append(ids, tr.createEach(len(ids)/len(tr.tenants), each)...)
				for range 20 {
					tr.deliver(10, nil)
					tr.seen()
					for _, id := range ids {
						if running[id] {
							continue
						}
						tr.settled(id)
						running[id] = tr.now(id).Status.Phase.Core() == vm.Running
						if !running[id] {
							delete(running, id)
						}
					}
				}
				t.Logf("hour %d: %d VMs run", hour, len(running))
				for range 4 {
					tr.deliver(75, nil)
					tr.seen()
					for _, id := range ids {
						if running[id] {
							tr.tell(tr.now(id).Status.Miner, tr.proven(tr.says(id, vm.Running)))
						}
					}
				}
			}
			if len(running) != len(ids) {
				t.Errorf("%d of %d VMs run", len(running), len(ids))
			}
			if err := tr.App.CheckInvariants(tr.Ctx()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// hour has VMs prove themselves for so many seconds in place of an hour.
func (tr *trial) hour(seconds uint64) {
	tr.t.Helper()
	k := tr.App.Keepers.Compute
	p, err := k.Params(tr.Ctx())
	if err != nil {
		tr.t.Fatal(err)
	}
	p.ProvenSeconds = seconds
	if _, err := computekeeper.NewMsgServer(k).UpdateParams(tr.Ctx(), &computetypes.MsgUpdateParams{Authority: authtypes.NewModuleAddress("gov").String(), Params: p}); err != nil {
		tr.t.Fatal(err)
	}
}

// createEach has each tenant create so many VMs, numbered from a number on.
func (tr *trial) createEach(from, n int) (ids []string) {
	tr.t.Helper()
	for i := from; i < from+n; i++ {
		var txs [][]byte
		for _, a := range tr.tenants {
			id, tx := tr.order(a, i)
			ids, txs = append(ids, id), append(txs, tx)
		}
		for len(txs) > 0 {
			k := min(len(txs), 20)
			tr.deliver(10, txs[:k])
			txs = txs[k:]
		}
	}
	return ids
}

// createOne has a tenant create the VM of a number.
func (tr *trial) createOne(a apptest.Account, number int) string {
	tr.t.Helper()
	id, tx := tr.order(a, number)
	tr.deliver(1, [][]byte{tx})
	return id
}

// order is a tenant's transaction for the VM of a number.
func (tr *trial) order(a apptest.Account, number int) (string, []byte) {
	tr.t.Helper()
	tr.serial = number
	m := tr.createMsg(a, fmt.Sprint("web-", number))
	id, err := vm.NewID(m.Owner, m.Nonce)
	if err != nil {
		tr.t.Fatal(err)
	}
	return string(id), tr.Sign(a, m)
}

// seen has every miner give a sign of life.
func (tr *trial) seen() {
	tr.t.Helper()
	for _, m := range tr.miners {
		if err := tr.App.Keepers.Registry.Seen(tr.Ctx(), m); err != nil {
			tr.t.Fatal(err)
		}
	}
}
