package credit

import (
	"math"
	"testing"
)

func TestFormat(t *testing.T) {
	for v, want := range map[uint64]string{
		0: "0", 1: "0.000001", 1_500_000: "1.5", 10_000_000: "10", 9_999_000: "9.999",
		math.MaxUint64: "18446744073709.551615",
	} {
		if got := Format(v); got != want {
			t.Errorf("%d is written %s, want %s", v, got, want)
		}
	}
}
