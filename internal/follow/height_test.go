package follow

import (
	"math"
	"testing"
	"time"
)

func TestHeights(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	var h Heights
	if err := h.Check(1<<48, at); err != nil {
		t.Errorf("a first height: %v", err)
	}
	h.Heard(1000, at)
	for _, c := range []struct {
		height int64
		after  time.Duration
		ok     bool
	}{
		{1001, time.Second, true},
		{0, 0, true},
		{1000 + slack, 0, true},
		{1001 + slack, 0, false},
		{1000 + slack + 100*3600, time.Hour, true},
		{1001 + slack + 100*3600, time.Hour, false},
		{1 << 48, 24 * time.Hour, false},
		{math.MaxInt64, 0, false},
	} {
		if err := h.Check(c.height, at.Add(c.after)); (err == nil) != c.ok {
			t.Errorf("block %d after %s: %v", c.height, c.after, err)
		}
	}
}

func TestWrong(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		cursor, height int64
		age            time.Duration
		want           bool
	}{
		{1 << 48, 1000, time.Second, true},
		{1 << 48, 1000, -20 * time.Second, true},
		{1 << 48, 1000, time.Minute, false},         // the chain stands still, or the node is restored
		{1000 + slack, 1000, time.Second, false},    // the node lags
		{1001 + slack, 1000, time.Second, true},     // it does not
		{1000, 2000, time.Second, false},            // it is ahead
		{math.MaxInt64, 0, 31 * time.Second, false}, // it has heard of no block lately
	} {
		if got := Wrong(c.cursor, c.height, now.Add(-c.age), now); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}
