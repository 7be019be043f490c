package hypervisor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// What gives way is the maker's own first, then what is old; what is young only where the host is about to fill, and then that of who
// has the most.
func TestGiveWay(t *testing.T) {
	const gib = 1 << 30
	now := time.Unix(1_800_000_000, 0)
	trash := []hypervisor.Trashed{
		{VM: "a1", At: now.Add(-3 * time.Hour), Bytes: 2 * gib},
		{VM: "b1", At: now.Add(-2 * time.Hour), Bytes: 2 * gib},
		{VM: "b2", At: now.Add(-30 * time.Minute), Bytes: 2 * gib},
		{VM: "c1", At: now.Add(-20 * time.Minute), Bytes: 3 * gib},
		{VM: "b3", At: now.Add(-10 * time.Minute), Bytes: 2 * gib},
		{VM: "?1", At: now.Add(-5 * time.Minute), Bytes: 1 * gib}, // nobody knows whose
	}
	ownerOf := func(id vm.ID) string {
		if id[0] == '?' {
			return ""
		}
		return string(id[:1])
	}
	for what, c := range map[string]struct {
		free, used, bytes uint64
		owner             string
		want              []vm.ID
	}{
		"room for all":               {free: 9 * gib, used: 2 * gib, bytes: 10 * gib},
		"a little is lacking":        {free: 9*gib - 1, used: 2 * gib, bytes: 10 * gib, want: []vm.ID{"a1"}},
		"both old ones":              {free: 6 * gib, used: 2 * gib, bytes: 10 * gib, want: []vm.ID{"a1", "b1"}},
		"young ones stay":            {free: 2 * gib, used: 2 * gib, bytes: 20 * gib, want: []vm.ID{"a1", "b1"}},
		"the maker's own":            {free: 6 * gib, used: 2 * gib, bytes: 10 * gib, owner: "c", want: []vm.ID{"c1"}},
		"the maker's, then the old":  {free: 3 * gib, used: 2 * gib, bytes: 10 * gib, owner: "c", want: []vm.ID{"c1", "a1", "b1"}},
		"who has none":               {free: 8 * gib, used: 2 * gib, bytes: 10 * gib, owner: "d", want: []vm.ID{"a1"}},
		"more is used than wanted":   {free: 1 * gib, used: 3 * gib, bytes: 2 * gib},
		"about to fill":              {free: 0, used: 2 * gib, bytes: 2 * gib, want: []vm.ID{"a1"}},
		"about to fill, all is lent": {free: 0, used: 0, bytes: 1 << 60, want: []vm.ID{"a1", "b1"}},
	} {
		got := ids(hypervisor.Space{Free: c.free, Used: c.used, Trash: trash}.GiveWay(hypervisor.Want{Bytes: c.bytes, Owner: c.owner, OwnerOf: ownerOf}, now))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v gave way, want %v", what, got, c.want)
		}
	}
	young := trash[2:]
	got := ids(hypervisor.Space{Trash: young}.GiveWay(hypervisor.Want{Bytes: 1 << 60, OwnerOf: ownerOf}, now))
	if want := []vm.ID{"b2"}; !slices.Equal(got, want) { // b has the most, and this is its oldest
		t.Errorf("of young ones %v gave way, want %v", got, want)
	}
	small := []hypervisor.Trashed{{VM: "?1", At: now, Bytes: 10}, {VM: "?2", At: now, Bytes: 20}, {VM: "?1", At: now, Bytes: 30}}
	got = ids(hypervisor.Space{Trash: small}.GiveWay(hypervisor.Want{OwnerOf: ownerOf}, now))
	if want := []vm.ID{"?1", "?1", "?2"}; !slices.Equal(got, want) {
		t.Errorf("of unknown owners %v gave way, want %v", got, want)
	}
}

func ids(all []hypervisor.Trashed) (out []vm.ID) {
	for _, t := range all {
		out = append(out, t.VM)
	}
	return out
}
