package computetest

import (
	"flag"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hippius/compute/chain/app/apptest"
)

// scaleFull plays the scale test in full, as 'make scale' does.
var scaleFull = flag.Bool("scale.full", false, "10 000 VMs for six hours in TestScale")

// scale is how much a scale test has.
type scale struct {
	vms, tenants, miners int
	hours                int
	// every so many seconds a miner reports all its VMs. What is proven are the 80 seconds before each: a shorter interval proves
	// more, but a test of six hours would take as much longer.
	every int64
	// invariants are checked after so many blocks.
	invariants int
}

const (
	// blockSeconds of simulated time between blocks.
	blockSeconds = 15
	hourSeconds  = 3600
	// proofGap is the seconds that a proof covers.
	proofGap = 80
)

// With the shipped parameters every VM is billed what it proves, no batch fails, and neither gas nor the work at a block's end
// grows, while sizes and prices change and accounts run out and come back.
func TestScale(t *testing.T) {
	size := scale{vms: 1000, tenants: 300, miners: 50, hours: 2, every: 75, invariants: 60}
	if *scaleFull {
		size = scale{vms: 10_000, tenants: 3000, miners: 500, hours: 6, every: 240, invariants: 120}
	}
	s := newScaleWorld(t, size)
	signatures, stop := s.signAhead()
	defer stop()
	start, hours := time.Now(), make([]hourOf, size.hours)
	for b := range size.hours * hourSeconds / blockSeconds {
		hour := &hours[b*blockSeconds/hourSeconds]
		s.act(b)
		s.block(b, <-signatures, hour)
		if b%size.invariants == size.invariants-1 {
			if err := s.App.CheckInvariants(s.Ctx()); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	for i, h := range hours {
		t.Logf("hour %d: %d reports of %d gas each, %d gas at a block's end, %s a block, %d VMs stopped for lack of credit",
			i+1, h.reports, h.gas/max(h.reports, 1), h.endGas/h.blocks, h.took/time.Duration(h.blocks), h.stopped)
	}
	t.Logf("%d resizes, %d starts, in %s", s.resized, s.started, time.Since(start).Round(time.Second))
	s.flat(hours)
	s.billedWhatWasProven()
	if s.resized == 0 || s.started == 0 || hours[0].stopped == 0 {
		t.Error("something did not happen")
	}
}

// flat wants the last hour to cost what the first did.
func (s *scaleWorld) flat(hours []hourOf) {
	s.t.Helper()
	first, last := hours[0], hours[len(hours)-1]
	if a, b := first.gas/first.reports, last.gas/last.reports; b > a+a/50 {
		s.t.Errorf("a report took %d gas in the first hour and %d in the last", a, b)
	}
	if a, b := first.endGas/first.blocks, last.endGas/last.blocks; b > a+a/10 {
		s.t.Errorf("the end of a block took %d gas in the first hour and %d in the last", a, b)
	}
}

// billedWhatWasProven wants all of the VMs' proven time billed, to 99.5 %, and not more than they existed.
func (s *scaleWorld) billedWhatWasProven() {
	s.t.Helper()
	worst := 1.0
	for _, g := range s.guests {
		v, err := s.App.Keepers.Compute.VM(s.Ctx(), g.id)
		if err != nil {
			s.t.Fatal(err)
		}
		billed := v.Status.Attestation.Core().Charged()
		part := float64(billed) / float64(g.proven)
		worst = min(worst, part)
		if g.pass(s.Now()); part < 0.995 || billed > g.most {
			s.t.Errorf("VM %s is billed %d units; it proved %d, and %d is the most", g.id, billed, g.proven, g.most)
		}
	}
	s.t.Logf("every VM is billed %.2f %% of what it proved, or more", 100*worst)
}

// signAhead makes the guests' proofs for the blocks to come, beside the chain. The hashes of blocks are known before.
func (s *scaleWorld) signAhead() (signatures <-chan [][]byte, stop func()) {
	out, done := make(chan [][]byte, 4), make(chan struct{})
	first := s.Height()
	var g errgroup.Group
	g.Go(func() error {
		for b := 0; ; b++ {
			var list [][]byte
			for _, h := range s.turn(b) {
				for _, guest := range h.guests {
					list = append(list, guest.sign(first+int64(b)))
				}
			}
			select {
			case out <- list:
			case <-done:
				return nil
			}
		}
	})
	return out, func() { close(done); _ = g.Wait() }
}

// unevenly spreads VMs over tenants: one in thirty has forty, the others share the rest.
func unevenly(vms, tenants int) []int {
	counts := make([]int, tenants)
	for i := range counts {
		if i%30 == 0 && vms >= eachOwner {
			counts[i] = eachOwner
			vms -= eachOwner
		}
	}
	for i := 0; vms > 0; i = (i + 1) % tenants {
		if counts[i] < eachOwner {
			counts[i]++
			vms--
		}
	}
	return slices.DeleteFunc(counts, func(n int) bool { return n == 0 })
}

// sign is a guest's proof that it knows a block.
func (g *guest) sign(height int64) []byte { return signProof(g.id, height, apptest.BlockHash(height)) }
