package computetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// kept are the collections that a keeper has in its module's store, by prefix, without some.
func kept(t *testing.T, keeper any, without ...string) map[byte]string {
	t.Helper()
	names := map[byte]string{}
	k := reflect.Indirect(reflect.ValueOf(keeper))
	for _, field := range k.Fields() {
		if field.Kind() != reflect.Struct {
			continue
		}
		prefix, name := field.FieldByName("prefix"), field.FieldByName("name")
		if !prefix.IsValid() || !name.IsValid() || slices.Contains(without, name.String()) {
			continue
		}
		if len(prefix.Bytes()) != 1 || names[prefix.Bytes()[0]] != "" {
			t.Fatalf("collection %s has the prefix %x", name, prefix.Bytes())
		}
		names[prefix.Bytes()[0]] = name.String()
	}
	return names
}

// entriesOf a store, by the prefix of their collection.
func entriesOf(store storetypes.KVStore) map[byte][][2][]byte {
	all := map[byte][][2][]byte{}
	it := store.Iterator(nil, nil)
	defer func() { _ = it.Close() }()
	for ; it.Valid(); it.Next() {
		all[it.Key()[0]] = append(all[it.Key()[0]], [2][]byte{it.Key(), it.Value()})
	}
	return all
}

// A chain that goes on from an export has the same records in every collection of every module, to the byte. In what is exported here
// no collection is empty, so that one which the genesis forgets is noticed: whoever adds a collection fills it here.
func TestEveryCollectionIsExported(t *testing.T) {
	w := filled(t)
	fork, _ := w.Fork()
	k := w.App.Keepers
	n := 0
	// Set by an import is that the committee is stale; of former ones is TestExportOfCommittees.
	for module, names := range map[string]map[byte]string{
		computetypes.StoreKey:  kept(t, k.Compute),
		creditstypes.StoreKey:  kept(t, k.Credits, "earned", "served", "stakers", "treasury", "paid", "paid_up_to"),
		markettypes.StoreKey:   kept(t, k.Marketplace),
		meshtypes.StoreKey:     kept(t, k.Mesh),
		rankingtypes.StoreKey:  kept(t, k.Ranking),
		registrytypes.StoreKey: kept(t, k.Registry, "committee_stale", "former_committees", "replaced_committees"),
	} {
		one, two := entriesOf(w.Store(module)), entriesOf(fork.ImportedStore(module))
		for _, prefix := range slices.Sorted(maps.Keys(names)) {
			n++
			left, right := one[prefix], two[prefix]
			if len(left) == 0 {
				t.Errorf("x/%s: collection %s is empty: the test says nothing of it", module, names[prefix])
			}
			if diff := firstDifference(left, right); diff != "" {
				t.Errorf("x/%s: collection %s of %d records has %d after the import: %s", module, names[prefix], len(left), len(right), diff)
			}
		}
	}
	if n < 65 {
		t.Errorf("only %d collections are compared", n)
	}
}

func firstDifference(one, two [][2][]byte) string {
	for i := range min(len(one), len(two)) {
		if l, r := one[i], two[i]; !bytes.Equal(l[0], r[0]) || !bytes.Equal(l[1], r[1]) {
			return fmt.Sprintf("%q: %x\nand\n%q: %x", l[0], l[1], r[0], r[1])
		}
	}
	if len(one) != len(two) {
		return fmt.Sprintf("%d records and %d", len(one), len(two))
	}
	return ""
}

// filled is a world with something in every collection.
func filled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, map[string]string{"mesh": `{"params":{"release_seconds":"100","lighthouse_grace_seconds":"100"}}`})
	w.tenantOnly("miner5") // its block and its lighthouse's number are free later, below others
	w.lit("miner5", 1)
	running := w.live()
	m, a := w.holder(running), apptest.Named("tenant")

	failed := w.create(a, "failed", func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{apptest.Named("miner1").Address} })
	w.report(w.says(failed, vm.Provisioning))
	w.fails(failed, "start_failed")
	w.MustDeliver(m, &creditstypes.MsgBuy{Buyer: m.Address, Recipient: a.Address, Uhip: 5_000_000, Reference: "card 1"})
	w.MustDeliver(apptest.Named("miner5"), &meshtypes.MsgRemoveLighthouse{Operator: apptest.Named("miner5").Address})
	w.NextBlock(60)
	w.tenantOnly("miner3")
	w.NextBlock(60)
	w.MustDeliver(apptest.Named("miner3"), &meshtypes.MsgRemoveLighthouse{Operator: apptest.Named("miner3").Address})
	w.create(a, "spread", func(c *computetypes.MsgCreateVM) { c.Spec.Miners, c.Spec.SpreadGroup = []string{m.Address}, "g" })
	if err := w.App.Keepers.Credits.Consume(w.Ctx(), a.Address, 1000, m.Address); err != nil {
		t.Fatal(err)
	}
	w.report(w.proven(w.says(running, vm.Running)))

	store := w.Store(computetypes.StoreKey) // what lasts for one block or needs many VMs
	store.Set(computetypes.SweepPrefix().Bytes(), []byte("amd64"))
	store.Set(computetypes.SweepAgainPrefix().Bytes(), []byte{1})
	store.Set(computetypes.SilenceActionsPrefix().Bytes(), binary.BigEndian.AppendUint64(nil, uint64(w.Now()/3600)<<20|3))
	return w
}
