package agent_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/agent/agenttest"
)

const (
	// covered is the longest outage of an agent's that its tenants do not notice in the bill.
	covered = time.Minute
	maxGap  = 80 // the chain's max_proof_gap_seconds
)

// What an agent's absence costs, with the settings of a real one: of a minute at most, nothing, at whatever time it
// ends; of so long a one that proofs are more than maxGap apart, the time from the last proof to what the next one, and
// a report before it, attest.
func TestOutageInTheBill(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outage time.Duration
		killed bool
		billed bool // all of it
		often  bool // at every second between two batches, not at some
	}{
		"killed, back at once":      {outage: time.Second, killed: true, billed: true},
		"killed, 20 s":              {outage: 20 * time.Second, killed: true, billed: true},
		"killed, 59 s":              {outage: covered - time.Second, killed: true, billed: true, often: true},
		"killed, 60 s":              {outage: covered, killed: true, billed: true, often: true},
		"ended, 60 s":               {outage: covered, billed: true, often: true},
		"killed, 87 s":              {outage: (maxGap + 7) * time.Second, killed: true}, // the next proof may sign the last block of before
		"killed, five minutes":      {outage: 5 * time.Minute, killed: true},
		"ended, two hours and half": {outage: 150 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := 7 * time.Second
			if c.often {
				step = time.Second
			}
			// Reports wait for their block: the slower the blocks, the longer is the gap.
			for _, block := range []time.Duration{time.Second, 6 * time.Second} {
				for late := time.Duration(0); late <= 30*time.Second; late += step {
					synctest.Test(t, func(t *testing.T) { outage(t, c.outage, block, late, c.killed, c.billed) })
				}
			}
		})
	}
}

func outage(t *testing.T, length, block, late time.Duration, killed, billed bool) {
	t.Helper()
	w := newWorld(t)
	w.config = agent.Config{ChainID: agenttest.ChainID, Miner: agenttest.Miner}
	w.chain.Every(block)
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	time.Sleep(3*time.Minute + late)
	if gaps := gapsOf(w.chain.ProofTimes(id)); len(gaps) == 0 || slices.Max(gaps) > maxGap {
		t.Fatalf("proofs are %v s apart although nothing happened", gaps)
	}

	ended := time.Now()
	if killed { // what it says while it is taken down is not heard
		w.chain.SetAway(errors.New("the agent is dead"))
	}
	w.stopAgent()
	w.chain.SetAway(nil)
	time.Sleep(length)
	before := len(w.chain.Batches())
	w.startAgent()
	back := time.Now()
	time.Sleep(3 * time.Minute)
	if w.chain.Batches()[before] == 0 {
		t.Error("the first report after the outage is empty: what there is to say waits a block longer")
	}

	times := w.chain.ProofTimes(id)
	next := slices.IndexFunc(times, func(at int64) bool { return at >= back.Add(-6*time.Second).Unix() })
	if next < 1 {
		t.Fatalf("no proofs after the outage: %v", times)
	}
	gap := times[next] - times[next-1]
	got := w.chain.Get(id).Status.Attestation.RunningSeconds
	total := uint64(times[len(times)-1] - times[0])
	t.Logf("blocks of %s, %s into the pause between batches: proofs %d s apart over an outage of %s", block, late, gap, length)
	if billed {
		if gap > maxGap || got != total {
			t.Errorf("an outage of %s (killed %v, %s after a batch, blocks of %s): proofs %d s apart, %d of %d s charged",
				length, killed, late, block, gap, got, total)
		}
		return
	}
	// A proof attests the time before it, and so does a report that comes up to some blocks before it.
	if unbilled := int64(total - got); gap <= maxGap || unbilled > gap-maxGap || unbilled < gap-maxGap-20 {
		t.Errorf("an outage of %s: proofs %d s apart, %d of %d s charged, want all but what the first proof after it does not attest", length, gap, got, total)
	}
	// The gap is the outage, but for the time since the last batch before it, which one that ends in peace sends then,
	// and a proof after it.
	most := int64(45)
	if !killed {
		most = 15
	}
	if before, after := ended.Unix()-times[next-1], times[next]-back.Unix(); before > most || after > 10 {
		t.Errorf("unbilled from %d s before the outage to %d s after it", before, after)
	}
}

func gapsOf(times []int64) (gaps []int64) {
	for i := 1; i < len(times); i++ {
		gaps = append(gaps, times[i]-times[i-1])
	}
	return gaps
}
