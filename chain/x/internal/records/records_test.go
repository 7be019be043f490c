package records_test

import (
	"slices"
	"testing"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/colltest"

	"github.com/hippius/compute/chain/x/internal/records"
)

func TestDue(t *testing.T) {
	store, ctx := colltest.MockStore()
	queue := collections.NewKeySet(collections.NewSchemaBuilder(store), collections.NewPrefix(0), "queue",
		collections.PairKeyCodec(collections.Int64Key, collections.StringKey))
	for at, name := range map[int64]string{300: "d", -5: "a", 10: "b", 20: "c"} {
		if err := queue.Set(ctx, collections.Join(at, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		by    int64
		limit int
		want  []string
	}{
		{-6, 9, nil},
		{-5, 9, []string{"a"}},
		{19, 9, []string{"a", "b"}},
		{300, 9, []string{"a", "b", "c", "d"}},
		{300, 2, []string{"a", "b"}},
		{300, 0, nil},
	} {
		keys, err := records.Due(ctx, queue, c.by, c.limit)
		var got []string
		for _, k := range keys {
			got = append(got, k.K2())
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("by %d, at most %d: %v, %v; want %v", c.by, c.limit, got, err, c.want)
		}
	}
}

func TestAll(t *testing.T) {
	store, ctx := colltest.MockStore()
	m := collections.NewMap(collections.NewSchemaBuilder(store), collections.NewPrefix(0), "map", collections.StringKey, collections.Uint64Value)
	for k, v := range map[string]uint64{"b": 2, "a": 1} {
		if err := m.Set(ctx, k, v); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := records.All(ctx, m); err != nil || !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
}
