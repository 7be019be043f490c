package secretshare

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustDeal(t *testing.T, threshold, n int) (Secret, []Share, Commitment) {
	t.Helper()
	secret, shares, c, err := Deal(threshold, n)
	if err != nil {
		t.Fatal(err)
	}
	return secret, shares, c
}

func TestAnyThresholdRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "n")
		threshold := rapid.IntRange(1, n).Draw(t, "threshold")
		secret, shares, c, err := Deal(threshold, n)
		if err != nil {
			t.Fatal(err)
		}
		some := rapid.Permutation(shares).Draw(t, "order")
		held := rapid.IntRange(0, n).Draw(t, "held")
		got, bad, err := Recover(threshold, some[:held], c)
		if len(bad) != 0 {
			t.Fatalf("honest shares called bad: %v", bad)
		}
		if held < threshold {
			if !errors.Is(err, ErrTooFew) || got != (Secret{}) {
				t.Fatalf("%d of %d: got %v and a secret, want ErrTooFew", held, threshold, err)
			}
			return
		}
		if err != nil || got != secret {
			t.Fatalf("%d of %d: %v, same secret %v", held, threshold, err, got == secret)
		}
	})
}

func TestLargest(t *testing.T) {
	const threshold = 10 // work grows with threshold times shares
	secret, shares, c := mustDeal(t, threshold, MaxShares)
	got, _, err := Recover(threshold, shares, c)
	if err != nil || got != secret || shares[MaxShares-1].ID() != MaxShares {
		t.Errorf("%d of %d: %v", threshold, MaxShares, err)
	}
}

func TestDealRefuses(t *testing.T) {
	for _, tn := range [][2]int{{0, 1}, {-1, 3}, {2, 1}, {1, MaxShares + 1}, {1, 0}} {
		if _, _, _, err := Deal(tn[0], tn[1]); err == nil {
			t.Errorf("dealt %d of %d", tn[0], tn[1])
		}
	}
}

func TestBadSharesAreNamed(t *testing.T) {
	secret, shares, c := mustDeal(t, 2, 5)
	_, others, _ := mustDeal(t, 2, 5)
	renumbered := shares[3]
	renumbered.id = 1
	given := []Share{others[4], shares[1], {}, shares[1], renumbered, shares[2], others[4]}
	got, bad, err := Recover(2, given, c)
	if err != nil || got != secret {
		t.Errorf("two good shares among bad ones: %v", err)
	}
	if !slices.Equal(bad, []int{0, 1, 5}) {
		t.Errorf("named %v, want 0, 1 and 5", bad)
	}
	// Without verification the wrong share would give a wrong secret.
	if got, bad, err := Recover(2, []Share{shares[1], others[4]}, c); !errors.Is(err, ErrTooFew) || got != (Secret{}) || !slices.Equal(bad, []int{5}) {
		t.Errorf("got %v naming %v, want ErrTooFew naming 5", err, bad)
	}
	if _, _, err := Recover(2, []Share{shares[1], shares[1]}, c); !errors.Is(err, ErrTooFew) {
		t.Errorf("one share given twice: got %v, want ErrTooFew", err)
	}
	var named *BadShareError
	if err := others[4].Verify(c); !errors.As(err, &named) || named.ID != 5 {
		t.Errorf("Verify: got %v, want share 5 named", err)
	}
}

func TestRecoverChecksThreshold(t *testing.T) {
	_, shares, c := mustDeal(t, 2, 3)
	for _, threshold := range []int{-1, 0, 1, 3} {
		if _, _, err := Recover(threshold, shares, c); err == nil {
			t.Errorf("recovered with a threshold of %d from a sharing of 2", threshold)
		}
	}
	if _, _, err := Recover(0, shares, Commitment{}); err == nil {
		t.Error("recovered without a commitment")
	}
	if _, _, err := Recover(2, make([]Share, MaxShares+1), c); err == nil {
		t.Error("took more shares than there can be")
	}
}

func TestEncodings(t *testing.T) {
	secret, shares, c := mustDeal(t, 3, 4)
	raw, err := c.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var readC Commitment
	if err := readC.UnmarshalBinary(raw); err != nil {
		t.Fatal(err)
	}
	if readC.Hash() != c.Hash() || readC.Hash() == (Commitment{}).Hash() {
		t.Error("the hash does not survive encoding")
	}
	read := make([]Share, len(shares))
	for i, s := range shares {
		raw, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := read[i].UnmarshalBinary(raw); err != nil {
			t.Fatal(err)
		}
		for j := range raw { // any altered byte: refused, or not part of the secret
			raw[j] ^= 1
			var altered Share
			if altered.UnmarshalBinary(raw) == nil && altered.Verify(c) == nil {
				t.Errorf("share %d with byte %d altered passes", i, j)
			}
			raw[j] ^= 1
		}
	}
	if got, _, err := Recover(3, read, readC); err != nil || got != secret {
		t.Errorf("recover from encoded shares: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	_, shares, c := mustDeal(t, 2, 2)
	good, err := c.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	identity := make([]byte, elementSize)
	for name, raw := range map[string][]byte{
		"nothing":        nil,
		"part of one":    good[:31],
		"one and a bit":  good[:33],
		"too many":       bytes.Repeat(good[:32], MaxShares+1),
		"no secret":      append(slices.Clone(identity), good[32:]...),
		"fewer needed":   append(slices.Clone(good[:32]), identity...),
		"not an element": bytes.Repeat([]byte{0xff}, 32),
	} {
		var got Commitment
		if err := got.UnmarshalBinary(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("commitment, %s: got %v, want ErrMalformed", name, err)
		}
	}
	share, err := shares[0].MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"nothing":       nil,
		"short":         share[:32],
		"long":          append(slices.Clone(share), 0),
		"number zero":   append([]byte{0}, share[1:]...),
		"not canonical": append([]byte{1}, bytes.Repeat([]byte{0xff}, 32)...),
	} {
		var got Share
		if err := got.UnmarshalBinary(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("share, %s: got %v, want ErrMalformed", name, err)
		}
	}
	if _, err := (Share{}).MarshalBinary(); err == nil {
		t.Error("encoded the zero share")
	}
	if _, err := (Commitment{}).MarshalBinary(); err == nil {
		t.Error("encoded the zero commitment")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	secret, shares, _ := mustDeal(t, 1, 1)
	value, err := shares[0].MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		text := fmt.Sprintf(verb+" "+verb, secret, shares[0])
		if text != "(secret) (share 1)" || strings.Contains(text, fmt.Sprintf("%x", value[1:])) {
			t.Errorf("%s printed %q", verb, text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	secret, shares, c, err := Deal(2, 3)
	if err != nil {
		f.Fatal(err)
	}
	rawC, err := c.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	rawS, err := shares[0].MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rawC, rawS)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, rawC, rawS []byte) {
		var gotC Commitment
		if gotC.UnmarshalBinary(rawC) == nil {
			if again, err := gotC.MarshalBinary(); err != nil || !bytes.Equal(again, rawC) {
				t.Errorf("two encodings of one commitment: %x, %x (%v)", rawC, again, err)
			}
		}
		var gotS Share
		if gotS.UnmarshalBinary(rawS) == nil {
			if again, err := gotS.MarshalBinary(); err != nil || !bytes.Equal(again, rawS) {
				t.Errorf("two encodings of one share: %x, %x (%v)", rawS, again, err)
			}
		}
		got, _, err := Recover(gotC.Threshold(), []Share{gotS, shares[1], shares[2]}, gotC)
		if err == nil && gotC.Hash() == c.Hash() && got != secret {
			t.Error("another secret of the same commitment")
		}
	})
}
