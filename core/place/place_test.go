package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hippius/compute/core/node"
)

const now = 1_000_000_000

func miner(i int) Candidate {
	return Candidate{
		Miner: fmt.Sprintf("hip1miner%04d", i), Open: true, Bond: 1000, LastSeen: now, RegisteredAt: now - 2*NewcomerSeconds,
		Region: "eu", Arch: "amd64", Quality: node.Full, Price: node.Full, Slots: math.MaxUint32,
		Capacity: node.Capacity{Cores: 16, MemoryMiB: 65536, DiskGiB: 1000},
	}
}

func miners(n int) []Candidate {
	all := make([]Candidate, n)
	for i := range all {
		all[i] = miner(i)
	}
	return all
}

func request(vm string) Request {
	return Request{
		VM: vm, Seq: 1, Demand: node.Demand{VCPUs: 2, MemoryMiB: 4096, DiskGiB: 26},
		Overcommit: 100, MinBond: 1000, Now: now, Silence: 90,
	}
}

func TestGates(t *testing.T) {
	req := request("a")
	req.Region, req.Arch = "eu", "amd64"
	req.Miners = []string{miner(0).Miner, miner(1).Miner}
	if got := Place(req, miners(1), 64); got.Miner != miner(0).Miner {
		t.Fatalf("got %+v", got)
	}
	for name, spoil := range map[string]func(*Candidate){
		"closed":     func(c *Candidate) { c.Open = false },
		"bond":       func(c *Candidate) { c.Bond = 999 },
		"slots":      func(c *Candidate) { c.Slots = 0 },
		"silent":     func(c *Candidate) { c.LastSeen = now - 91 },
		"region":     func(c *Candidate) { c.Region = "us" },
		"arch":       func(c *Candidate) { c.Arch = "arm64" },
		"not chosen": func(c *Candidate) { c.Miner = miner(7).Miner },
		"cpu":        func(c *Candidate) { c.Usage.VCPUs = 15 },
		"memory":     func(c *Candidate) { c.Usage.MemoryMiB = 65536 - 4095 },
		"disk":       func(c *Candidate) { c.Usage.DiskGiB = 975 },
	} {
		c := miner(0)
		spoil(&c)
		if got := Place(req, []Candidate{c}, 64); got.Miner != "" || got.OnlyExcluded {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	req.Excluded = []string{miner(0).Miner}
	if got := Place(req, miners(1), 64); got.Miner != "" || !got.OnlyExcluded {
		t.Errorf("excluded: got %+v", got)
	}
	if got := Place(req, miners(2), 64); got.Miner != miner(1).Miner {
		t.Errorf("one excluded: got %+v", got)
	}
}

func TestScorePrefers(t *testing.T) {
	for name, better := range map[string]func(*Candidate){
		"quality":  func(c *Candidate) { c.Quality = node.Full + 5 },
		"free":     func(c *Candidate) { c.Capacity.Cores = 64; c.Capacity.MemoryMiB *= 4; c.Capacity.DiskGiB *= 4 },
		"stake":    func(c *Candidate) { c.Bond = 2000 },
		"newcomer": func(c *Candidate) { c.RegisteredAt = now },
		"price":    func(c *Candidate) { c.Price = node.Full },
	} {
		for i := range 20 { // whatever the tie-breaking hash says
			all := miners(2)
			for j := range all {
				all[j].Quality, all[j].Price = node.Full/2, node.Full/2
				all[j].Usage.VCPUs = 4
			}
			better(&all[1])
			if got := Place(request(fmt.Sprint(name, i)), all, 64); got.Miner != all[1].Miner {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	}
}

// After a failed attempt quality decides, whatever else is better.
func TestQualityDecidesAfterAFailure(t *testing.T) {
	for i := range 20 {
		all := miners(3)
		all[0].Quality, all[0].SameTenant, all[0].Usage.VCPUs = node.Full/2+1, true, 12
		all[1].Quality, all[1].RegisteredAt, all[1].Bond = node.Full/2, now, 5000
		all[2].Quality = node.Full / 3
		req := request(fmt.Sprint(i))
		if got := Place(req, all, 64); got.Miner != all[1].Miner {
			t.Fatalf("at first %+v", got)
		}
		req.Again = true
		if got := Place(req, all, 64); got.Miner != all[0].Miner {
			t.Fatalf("then %+v", got)
		}
		all[0].Quality-- // the score decides among equals
		if got := Place(req, all, 64); got.Miner != all[1].Miner {
			t.Fatalf("equals: %+v", got)
		}
		all[0].Quality, all[1].Quality = node.Full, node.Full*9/10 // so does more than is asked for, which VMs of one's own give
		if got := Place(req, all, 64); got.Miner != all[1].Miner {
			t.Fatalf("both are good: %+v", got)
		}
	}
}

func TestSameTenantAndGroup(t *testing.T) {
	for i := range 20 {
		all := miners(3)
		all[0].SameTenant = true
		all[1].SameGroup = true
		all[2].Quality = 0
		all[2].SameTenant = true
		// Of those without the group the first is better.
		if got := Place(request(fmt.Sprint(i)), all, 64); got.Miner != all[0].Miner {
			t.Fatalf("got %+v", got)
		}
		// The group yields where capacity does not allow it.
		if got := Place(request(fmt.Sprint(i)), all[1:2], 64); got.Miner != all[1].Miner {
			t.Fatalf("got %+v", got)
		}
	}
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		all := miners(1 + rnd.IntN(150))
		for i := range all {
			all[i].Usage = node.Usage{VCPUs: rnd.Uint32N(16), MemoryMiB: rnd.Uint64N(65536), DiskGiB: rnd.Uint64N(1000)}
			all[i].Bond = 900 + rnd.Uint64N(1000)
			all[i].LastSeen = now - rnd.Int64N(100)
			all[i].SameTenant = rnd.IntN(3) == 0
			all[i].SameGroup = rnd.IntN(4) == 0
		}
		req := request(fmt.Sprint("vm", round))
		req.Excluded = []string{all[rnd.IntN(len(all))].Miner}
		want := Place(req, all, 64)
		for range 5 {
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			if got := Place(req, all, 64); got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
		i := slices.IndexFunc(all, func(c Candidate) bool { return c.Miner == want.Miner })
		if want.Miner != "" && (!Passes(req, all[i]) || slices.Contains(req.Excluded, want.Miner)) {
			t.Fatalf("%+v does not pass", all[i])
		}
		if want.Miner == "" && slices.ContainsFunc(all, func(c Candidate) bool { return Passes(req, c) && !slices.Contains(req.Excluded, c.Miner) }) {
			t.Fatal("nobody chosen though one passes")
		}
	}
}

// Drawing one miner of many must follow the weights: twice the available capacity, twice as often.
func TestDrawIsWeighted(t *testing.T) {
	all := miners(30)
	for i := range all[:10] {
		all[i].Capacity = node.Capacity{Cores: 32, MemoryMiB: 131072, DiskGiB: 2000}
	}
	big := 0
	const rounds = 6000
	for i := range rounds {
		got := Place(request(fmt.Sprint("vm", i)), all, 1)
		if got.Miner < miner(10).Miner {
			big++
		}
	}
	// 10 of weight 16 against 20 of weight 8: half; 5 standard deviations of 0.0065.
	if share := float64(big) / rounds; math.Abs(share-0.5) > 0.033 {
		t.Errorf("big miners were drawn %.3f of the time", share)
	}
}

// A miner that leaves moves only the VMs it was drawn for.
func TestDrawIsStable(t *testing.T) {
	all := miners(40)
	for i := range 500 {
		req := request(fmt.Sprint("vm", i))
		before := Place(req, all, 1)
		after := Place(req, all[1:], 1)
		if before.Miner != all[0].Miner && before.Miner != after.Miner {
			t.Fatalf("%s moved from %s to %s", req.VM, before.Miner, after.Miner)
		}
	}
}

func TestNegLog2(t *testing.T) {
	for _, h := range []uint64{0, 1, 2, 3, 1 << 20, 1 << 63, 1<<63 - 1, 12345678901234567, math.MaxUint64, math.MaxUint64 - 1} {
		want := -math.Log2(float64(h|1) / math.Exp2(64))
		got := float64(negLog2(h)) / math.Exp2(32)
		if math.Abs(got-want) > 1e-8 || negLog2(h) == 0 {
			t.Errorf("%d: got %g, want %g", h, got, want)
		}
	}
}

func TestRatio(t *testing.T) {
	for _, c := range []struct{ part, whole, want uint64 }{
		{0, 0, 0}, {5, 0, 0}, {1, 2, 5000}, {math.MaxUint64, math.MaxUint64, 10000}, {math.MaxUint64, 1, 10000}, {1, math.MaxUint64, 0},
	} {
		if got := ratio(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: got %d", c.part, c.whole, got)
		}
	}
}

func TestSlotsSpread(t *testing.T) {
	seen := map[uint64]bool{}
	for i := range 1000 {
		seen[Slot(miner(i).Miner)>>60] = true
		seen[Start(fmt.Sprint(i), uint32(i))] = true
	}
	if len(seen) != 1016 {
		t.Errorf("%d different places", len(seen))
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("vm", uint32(1), uint32(2), uint64(2048), uint64(18), int64(now), 64)
	f.Add("", uint32(0), uint32(0), uint64(0), uint64(0), int64(math.MinInt64), 0)
	f.Fuzz(func(t *testing.T, vm string, seq, cpu uint32, mem, disk uint64, at int64, limit int) {
		req := Request{VM: vm, Seq: seq, Demand: node.Demand{VCPUs: cpu, MemoryMiB: mem, DiskGiB: disk}, Overcommit: 200, Now: at, Silence: 90}
		all := miners(5)
		got := Place(req, all, limit)
		slices.Reverse(all)
		if again := Place(req, all, limit); again != got {
			t.Fatalf("got %+v, then %+v", got, again)
		}
		if got.Score > 100*node.Full {
			t.Fatalf("score %d", got.Score)
		}
	})
}

func BenchmarkPlace256(b *testing.B) {
	all := miners(256)
	req := request("vm")
	for b.Loop() {
		Place(req, all, 64)
	}
}
