package committee

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func equal(n int, uhip uint64) []Stake {
	var list []Stake
	for i := range n {
		list = append(list, Stake{Operator: fmt.Sprintf("op%03d", i), Uhip: new(big.Int).SetUint64(uhip)})
	}
	return list
}

func total(members []Member) (n int) {
	for _, m := range members {
		n += m.Shares
	}
	return n
}

// opens is how many members with the most shares open a secret together, blocks how many without which nobody does.
func opens(members []Member) (open, block int) {
	sorted := slices.SortedFunc(slices.Values(members), func(a, b Member) int { return b.Shares - a.Shares })
	all := total(members)
	for have := 0; have < Threshold(all); open++ {
		have += sorted[open].Shares
	}
	for left := all; left >= Threshold(all) && block < len(sorted); block++ {
		left -= sorted[block].Shares
	}
	return open, block
}

// Which stake opens a secret, and which blocks.
func TestWhichStakeOpensAndWhichBlocks(t *testing.T) {
	const hip = 1_000_000
	large := equal(21, hip)
	for i := range 4 {
		large[i].Uhip = big.NewInt(1_000_000 * hip)
	}
	third := equal(4, 100*hip)
	third[0].Uhip = big.NewInt(200 * hip) // 40 % of the stake
	for _, c := range []struct {
		name   string
		stakes []Stake
		// members, shares of all and of each (0: not equal), threshold.
		members, shares, each, threshold int
		// open and block are the fewest operators that open or block.
		open, block int
	}{
		{"1 validator: it alone", equal(1, hip), 1, 1, 1, 1, 1, 1},
		{"2 equal: both, either blocks", equal(2, hip), 2, 6, 3, 4, 2, 1},
		{"3 equal: 2 open, 2 block", equal(3, hip), 3, 9, 3, 6, 2, 2},
		{"4 equal: 75 % opens, 50 % blocks", equal(4, hip), 4, 12, 3, 8, 3, 2},
		{"21 equal: 67 % opens, 38 % blocks", equal(21, hip), 21, 63, 3, 42, 14, 8},
		{"100 equal: of the first 21, 14 open and 8 block", equal(100, hip), 21, 63, 3, 42, 14, 8},
		{"4 large and 17 with 1 HIP: the large alone", large, 4, 63, 0, 42, 3, 2},
		{"one with 40 %: blocks alone", third, 4, 12, 0, 8, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Apportion(c.stakes, MaxSeats)
			if len(got) != c.members || total(got) != c.shares || Threshold(total(got)) != c.threshold {
				t.Fatalf("%d members with %d shares, threshold %d: %v", len(got), total(got), Threshold(total(got)), got)
			}
			for _, m := range got {
				if c.each != 0 && m.Shares != c.each {
					t.Errorf("%s has %d shares", m.Operator, m.Shares)
				}
			}
			if open, block := opens(got); open != c.open || block != c.block {
				t.Errorf("%d open and %d block, want %d and %d: %v", open, block, c.open, c.block, got)
			}
		})
	}
}

func TestThreshold(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2, 4: 3, 6: 4, 12: 8, 63: 42} {
		if got := Threshold(n); got != want {
			t.Errorf("of %d shares %d open a secret, want %d", n, got, want)
		}
	}
}

func TestNobody(t *testing.T) {
	for name, list := range map[string][]Stake{
		"none": nil, "no stake": {{Operator: "a"}, {Operator: "b", Uhip: new(big.Int)}, {Operator: "c", Uhip: big.NewInt(-1)}},
	} {
		if got := Apportion(list, MaxSeats); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	for _, seats := range []int{0, -1} {
		if got := Apportion(equal(3, 1), seats); got != nil {
			t.Errorf("%d seats: %v", seats, got)
		}
	}
}

func anyStakes(t *rapid.T) []Stake {
	n := rapid.IntRange(1, 120).Draw(t, "operators")
	list := equal(n, 1)
	for i := range list {
		bits := rapid.IntRange(0, 63).Draw(t, "bits")
		list[i].Uhip = new(big.Int).SetUint64(rapid.Uint64Range(1, uint64(1)<<bits).Draw(t, "uhip"))
	}
	return list
}

func TestApportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, seats := anyStakes(t), rapid.IntRange(1, MaxSeats).Draw(t, "seats")
		got := Apportion(list, seats)
		again := Apportion(rapid.Permutation(list).Draw(t, "order"), seats)
		if !slices.Equal(got, again) {
			t.Fatalf("in another order: %v and %v", got, again)
		}
		if len(got) == 0 || len(got) > seats || !slices.IsSortedFunc(got, func(a, b Member) int {
			if a.Operator < b.Operator {
				return -1
			}
			return 1
		}) {
			t.Fatalf("%d members of %d seats: %v", len(got), seats, got)
		}
		if len(got) == 1 {
			if got[0].Shares != 1 {
				t.Fatalf("a single member has %d shares", got[0].Shares)
			}
			return
		}
		want := SharesPerSeat * min(seats, len(list))
		if total(got) != want {
			t.Fatalf("%d shares, want %d", total(got), want)
		}
		stake, members := map[string]*big.Int{}, new(big.Int)
		for _, s := range list {
			stake[s.Operator] = s.Uhip
		}
		for _, m := range got {
			members.Add(members, stake[m.Operator])
		}
		for i, m := range got {
			// Within one share of the quota, and at least one.
			have := new(big.Int).Mul(big.NewInt(int64(m.Shares)), members)
			quota := new(big.Int).Mul(stake[m.Operator], big.NewInt(int64(want)))
			if diff := new(big.Int).Sub(have, quota); diff.CmpAbs(members) >= 0 || m.Shares < 1 {
				t.Fatalf("%s has %d shares; its stake is %s of %s", m.Operator, m.Shares, stake[m.Operator], members)
			}
			// More stake, no fewer shares.
			for _, o := range got[i+1:] {
				switch c := stake[m.Operator].Cmp(stake[o.Operator]); {
				case c > 0 && m.Shares < o.Shares, c < 0 && m.Shares > o.Shares:
					t.Fatalf("%v and %v have %s and %s", m, o, stake[m.Operator], stake[o.Operator])
				}
			}
		}
	})
}

// Splitting a stake among many heads never opens more: shares of a group stay below its stake's part and one share each.
func TestHeadsBuyNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := equal(rapid.IntRange(2, 8).Draw(t, "large"), 1_000_000_000_000)
		heads := rapid.IntRange(1, 92).Draw(t, "heads")
		for i := range heads {
			list = append(list, Stake{Operator: fmt.Sprintf("head%02d", i), Uhip: big.NewInt(rapid.Int64Range(1, 1_000_000_000_000/64).Draw(t, "uhip"))})
		}
		for _, m := range Apportion(list, MaxSeats) {
			if m.Operator[:2] != "op" {
				t.Fatalf("%s holds %d shares", m.Operator, m.Shares)
			}
		}
	})
}
