package secretshare

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSeveralShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "n")
		_, shares, c, err := Deal(rapid.IntRange(1, n).Draw(t, "threshold"), n)
		if err != nil {
			t.Fatal(err)
		}
		first := rapid.IntRange(0, n-1).Draw(t, "first")
		mine := shares[first:rapid.IntRange(first+1, n).Draw(t, "end")]
		raw, err := MarshalShares(mine)
		if err != nil || len(raw) != ShareSize*len(mine) {
			t.Fatal(err)
		}
		got, err := UnmarshalShares(raw)
		if err != nil || len(got) != len(mine) {
			t.Fatal(err)
		}
		if err := VerifyAll(got, c); err != nil {
			t.Fatal(err)
		}
		// One of another secret is named, wherever it is.
		_, others, _, err := Deal(c.Threshold(), n)
		if err != nil {
			t.Fatal(err)
		}
		bad := rapid.IntRange(0, len(got)-1).Draw(t, "bad")
		got[bad] = others[first+bad]
		var named *BadShareError
		if err := VerifyAll(got, c); !errors.As(err, &named) || named.ID != got[bad].ID() {
			t.Fatalf("share %d is another secret's: %v", got[bad].ID(), err)
		}
	})
}

func TestSeveralSharesRefused(t *testing.T) {
	_, shares, c := mustDeal(t, 2, 3)
	raw, err := MarshalShares(shares)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing":     nil,
		"one byte":    raw[:1],
		"part of one": raw[:ShareSize+1],
		"out of turn": slices.Concat(raw[ShareSize:2*ShareSize], raw[:ShareSize]),
		"twice":       slices.Concat(raw[:ShareSize], raw[:ShareSize]),
		"too many":    make([]byte, ShareSize*(MaxShares+1)),
		"number zero": make([]byte, ShareSize),
	} {
		if _, err := UnmarshalShares(data); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, list := range map[string][]Share{"none": nil, "out of turn": {shares[1], shares[0]}, "zero": {{}}} {
		if _, err := MarshalShares(list); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	for name, list := range map[string][]Share{"zero": {shares[0], {}}, "alone": {{}}} {
		if VerifyAll(list, c) == nil {
			t.Errorf("%s: verified", name)
		}
	}
	if VerifyAll(shares, Commitment{}) == nil || VerifyAll(shares[:1], Commitment{}) == nil {
		t.Error("verified against no commitment")
	}
	if err := VerifyAll(nil, c); err != nil {
		t.Errorf("no shares: %v", err)
	}
}
