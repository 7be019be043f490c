package app

import (
	"errors"
	"fmt"
	"testing"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

// put adds a transaction of a sender as Insert does after it was read.
func (p *pool) put(w *waiting) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.insert(w)
}

func waits(sender string, sequence uint64, l lane, priority int64) *waiting {
	return &waiting{place: place{sender, sequence}, lane: l, priority: priority, raw: []byte{byte(sequence)}, extent: extent{gas: 1, bytes: 1}}
}

// A full lane takes only what pays more for its gas, in place of what pays least and nothing else depends on. The other lane is
// not touched.
func TestFullLane(t *testing.T) {
	p := newPool()
	for i := range maxWaiting {
		if err := p.put(waits(fmt.Sprint(i/2), uint64(i%2), otherLane, int64(100+i/2))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.put(waits("poor", 0, otherLane, 100)); !errors.Is(err, sdkerrors.ErrMempoolIsFull) {
		t.Errorf("one that pays as little as the least: %v", err)
	}
	if err := p.put(waits("miner", 0, reportLane, 1)); err != nil {
		t.Errorf("a report: %v", err)
	}
	if err := p.put(waits("rich", 0, otherLane, 101)); err != nil {
		t.Errorf("one that pays more: %v", err)
	}
	if got := p.senders["0"]; len(got) != 1 || got[0].sequence != 0 {
		t.Errorf("of the least are left %d", len(got))
	}
	if p.held[otherLane].txs != maxWaiting || p.CountTx() != maxWaiting+1 || p.dropped[otherLane] != 1 {
		t.Errorf("%+v wait, %v dropped", p.held, p.dropped)
	}
	// What was dropped counts until consensus has forgotten it too: it holds no more than the node has room for.
	for i := range 2 * maxEvicted {
		_ = p.put(waits(fmt.Sprint("rich", i), 0, otherLane, 1_000_000+int64(i)))
	}
	if p.dropped[otherLane] != maxEvicted || len(p.evicted) != maxEvicted {
		t.Errorf("%d were dropped between two blocks", p.dropped[otherLane])
	}
	if p.held[otherLane].txs+len(p.evicted)+p.held[reportLane].txs > MempoolTxs {
		t.Error("consensus may have more than it has room for")
	}
	p.mu.Lock()
	for at := range p.evicted {
		p.forget(at)
	}
	p.mu.Unlock()
	if err := p.put(waits("richest", 0, otherLane, 10_000_000)); err != nil || p.dropped[otherLane] != 1 {
		t.Errorf("after consensus forgot them: %v, %d dropped", err, p.dropped[otherLane])
	}
}

// One account may fill an empty lane, but no other account is refused for it, and what the flood pays does not matter. What is dropped
// is the end of its sequence.
func TestFloodOfOneAccount(t *testing.T) {
	for name, size := range map[string]int{"of many": 1, "of large ones": MaxTxBytes} {
		t.Run(name, func(t *testing.T) {
			p := newPool()
			made := func(sender string, sequence int, priority int64) *waiting {
				w := waits(sender, uint64(sequence), otherLane, priority)
				w.raw = make([]byte, size)
				return w
			}
			n := 0
			for ; p.put(made("flood", n, 1_000_000)) == nil; n++ {
			}
			if held := p.held[otherLane]; held.txs != maxWaiting && held.bytes != maxWaitingBytes {
				t.Fatalf("alone it has %+v", held)
			}
			others := min(n/2, maxEvicted/2)
			for i := range others {
				if err := p.put(made(fmt.Sprint("tenant", i), 0, 1)); err != nil {
					t.Fatalf("tenant %d of %d: %v", i, others, err)
				}
			}
			left := p.senders["flood"]
			if len(left) != n-others || left[len(left)-1].sequence != uint64(n-others-1) {
				t.Errorf("the flood has %d of %d left", len(left), n)
			}
			if err := p.put(made("flood", n-others, 1_000_000_000)); !errors.Is(err, sdkerrors.ErrMempoolIsFull) {
				t.Errorf("an account beyond its share pushes others out: %v", err)
			}
			// Within its share it is as others are.
			q := newPool()
			for i := 0; q.put(made(fmt.Sprint("tenant", i), 0, 1)) == nil; i++ {
			}
			share := 0
			for ; q.put(made("flood", share, 1_000_000)) == nil; share++ {
			}
			if has := q.loadOf("flood", otherLane); has.txs > maxWaiting/maxAccountPart+1 || has.bytes > maxWaitingBytes/maxAccountPart+size {
				t.Errorf("who pays more took %+v", has)
			}
		})
	}
}

// A lane's bytes are bounded too.
func TestFullLaneOfBytes(t *testing.T) {
	p := newPool()
	large := func(sender string, priority int64) *waiting {
		w := waits(sender, 0, reportLane, priority)
		w.raw = make([]byte, MaxTxBytes)
		return w
	}
	for i := range maxWaitingBytes / MaxTxBytes {
		if err := p.put(large(fmt.Sprint(i), 5)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.put(large("x", 5)); !errors.Is(err, sdkerrors.ErrMempoolIsFull) {
		t.Error(err)
	}
	if err := p.put(large("y", 6)); err != nil || p.held[reportLane].bytes > maxWaitingBytes {
		t.Errorf("%v, %d bytes", err, p.held[reportLane].bytes)
	}
}

// A proposal never has more of a lane than its part, and all of it where the other waits.
func TestRoomOfLanes(t *testing.T) {
	f := filling{room: extent{gas: 1000, bytes: 1000}}
	one := extent{gas: 10, bytes: 1}
	count := func(l lane, borrow bool) (n int) {
		for f.fits(l, one, borrow) {
			f.add(l, one)
			n++
		}
		return n
	}
	if n := count(otherLane, false); n != 50 {
		t.Errorf("%d of its own", n)
	}
	if n := count(otherLane, true); n != 25 {
		t.Errorf("%d of the other's", n)
	}
	if n := count(reportLane, true); n != 25 {
		t.Errorf("%d are left for the other", n)
	}
	if (&filling{room: extent{bytes: 1000}}).fits(reportLane, extent{gas: 1 << 40, bytes: 501}, false) {
		t.Error("half of the bytes is exceeded")
	}
	if !(&filling{room: extent{bytes: 1000}}).fits(reportLane, extent{gas: 1 << 40, bytes: 500}, false) {
		t.Error("a block without a bound of gas has one")
	}
}
