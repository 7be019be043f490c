package report

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/guestchannel"
)

// What is new goes out with the next message, as it is then, however many VMs there are to be told of; and none of them is left out
// for longer than as many messages take.
func TestNewsGoesFirst(t *testing.T) {
	const vms = 600
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{block: 2 * time.Second}
		r := start(t, l, silent)
		id := func(i int) vm.ID { return vm.ID(fmt.Sprintf("%04d", i)) }
		for i := range vms {
			r.Say(running(id(i), 1), nil)
		}
		time.Sleep(5 * time.Minute) // what may go at once is used up
		for i := range 20 {
			time.Sleep(7 * time.Second)
			fresh, changed := id(vms+i), id(vms-1-i)
			r.Say(vm.Report{ID: fresh, InstanceSeq: 1, Phase: vm.Provisioning}, nil)
			r.Say(vm.Report{ID: changed, InstanceSeq: 1, Phase: vm.Stopped}, nil)
			said := time.Now()
			time.Sleep(2*FreeEvery + l.block)
			batches, at := l.seen()
			next := slices.IndexFunc(at, func(at time.Time) bool { return !at.Add(-l.block).Before(said) })
			if next < 0 {
				t.Fatalf("nothing was sent of VM %s", fresh)
			}
			if !slices.ContainsFunc(batches[next], func(r vm.Report) bool { return r.ID == fresh }) {
				t.Fatalf("VM %s is not in the next message, of %d reports", fresh, len(batches[next]))
			}
			for _, r := range slices.Concat(batches[next:]...) {
				if r.ID == changed && r.Phase != vm.Stopped {
					t.Fatalf("VM %s is said to be %s", changed, r.Phase)
				}
			}
		}
		batches, at := l.seen()
		last := map[vm.ID]time.Time{}
		for i, b := range batches {
			for _, said := range b {
				if gap := at[i].Sub(last[said.ID]); !last[said.ID].IsZero() && gap > 80*time.Second {
					t.Fatalf("nothing was said of VM %s for %s", said.ID, gap)
				}
				last[said.ID] = at[i]
			}
		}
		for i := range vms {
			if time.Since(last[id(i)]) > 80*time.Second {
				t.Fatalf("nothing is said of VM %d", i)
			}
		}
	})
}

// That a VM ran goes out before that it is off, once, and no message has so many reports more than VMs that the chain wants a fee for it.
func TestRanGoesBeforeOff(t *testing.T) {
	const vms = 10
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		r := start(t, l, silent)
		off := func(i int, p *guestchannel.Proof) {
			id := vm.ID(fmt.Sprint(i))
			r.SayAfter(running(id, 1), p, vm.Report{ID: id, InstanceSeq: 1, Phase: vm.Stopped})
		}
		for i := range vms {
			off(i, proof(5, time.Now()))
		}
		off(vms, proof(5, time.Now().Add(-MaxProofAge))) // too old
		off(vms+1, nil)                                  // no agent
		time.Sleep(2 * time.Minute)
		batches, _ := l.seen()
		said := map[vm.ID][]vm.Phase{}
		for _, b := range batches {
			if len(b) > vms+2+Spare {
				t.Errorf("a message has %d reports", len(b))
			}
			for _, one := range b {
				if had := said[one.ID]; len(had) == 0 || had[len(had)-1] != one.Phase {
					said[one.ID] = append(had, one.Phase)
				}
				if one.Phase == vm.Running && one.ID != "11" && (one.Proof == nil || one.Proof.Height != 5) {
					t.Errorf("VM %s ran without a proof", one.ID)
				}
			}
		}
		for i := range vms + 2 {
			want := []vm.Phase{vm.Running, vm.Stopped}
			if i == vms {
				want = want[1:]
			}
			if got := said[vm.ID(fmt.Sprint(i))]; !slices.Equal(got, want) {
				t.Errorf("VM %d is said to be %v, want %v", i, got, want)
			}
		}
	})
}
