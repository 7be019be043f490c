package e2e

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/test/chaos"
)

// Flags of this test binary, which 'make chaos' sets.
var (
	chaosSeeds = flag.Int("chaos.seeds", 10, "how many histories TestChaos plays")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "play this one only, and tell all of it")
)

// play gives the history of a seed, in a network of its own.
func play(t *testing.T, seed uint64) (out chaos.Outcome) {
	t.Helper()
	dir := testkit.MemoryDir(t)
	synctest.Test(t, func(t *testing.T) { out = chaos.Play(t, seed, dir) })
	return out
}

// Whatever goes wrong, the invariants hold, and all is in order when it is over.
// 'make chaos' plays hundreds; 'make chaos SEED=n' one again.
func TestChaos(t *testing.T) {
	if *chaosSeed != 0 {
		tell(t, play(t, *chaosSeed), *chaosSeed, 1<<30)
		return
	}
	for i := range *chaosSeeds {
		seed := uint64(i) + 1
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			tell(t, play(t, seed), seed, 60)
		})
	}
}

func tell(t *testing.T, out chaos.Outcome, seed uint64, last int) {
	t.Helper()
	t.Logf("seed %d: %d blocks, %d faults, %d VMs placed %d times, %d proofs, %d stopped for lack of credit; history %s",
		seed, out.Blocks, out.Faults, out.VMs, out.Moves, out.Proofs, out.RunOuts, out.Hash)
	if out.Err != nil || last > len(out.Lines) {
		t.Log("\n" + strings.Join(out.Lines[max(0, len(out.Lines)-last):], "\n"))
	}
	if out.Err != nil {
		t.Errorf("seed %d: %v\nplay it again with 'make chaos SEED=%d'", seed, out.Err, seed)
	}
	if out.Proofs == 0 || out.Faults == 0 {
		t.Errorf("seed %d: nothing happened", seed)
	}
}

// The same seed gives the same history, or none could be played again.
func TestChaosRepeats(t *testing.T) {
	t.Parallel()
	const first, last = 3, 4
	hashes := map[string]bool{}
	for seed := uint64(first); seed <= last; seed++ {
		one, two := play(t, seed), play(t, seed)
		hashes[one.Hash] = true
		if one.Hash == two.Hash {
			continue
		}
		for i := range min(len(one.Lines), len(two.Lines)) {
			if one.Lines[i] != two.Lines[i] {
				t.Fatalf("seed %d: line %d was\n%s\nand is\n%s", seed, i, one.Lines[i], two.Lines[i])
			}
		}
		t.Fatalf("seed %d: the histories differ in no line but in what was proved; %d lines and %d", seed, len(one.Lines), len(two.Lines))
	}
	if len(hashes) != last-first+1 {
		t.Error("two seeds give the same history")
	}
}
