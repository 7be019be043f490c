package cli

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hippius/compute/core/credit"
)

func TestParseCredits(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "10": 10_000_000, "2.5": 2_500_000, "0.000001": 1, "007": 7_000_000, "1000000000000": 1_000_000_000_000_000_000,
	} {
		if got, err := parseCredits(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", "1.", ".5", "-1", "+1", "1e3", "0x10", "1_000", "1,5", " 1", "1 ", "ten", "1.2.3", "1.+5", "1.-5",
		"0.0000001", "1000000000001", strings.Repeat("9", 40), "１",
	} {
		got, err := parseCredits(text)
		if err == nil {
			t.Errorf("%q was taken for %d", text, got)
			continue
		}
		if exitCode(t.Context(), &strings.Builder{}, err) != 2 || !strings.Contains(err.Error(), "use a number such as 10 or 2.5") {
			t.Errorf("%q: %v; want a usage error that says what is accepted", text, err)
		}
	}
}

// What is shown is what is read again, to the last unit.
func TestCreditsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Uint64Max(1_000_000_000_000*credit.PerCredit).Draw(t, "ucredit")
		got, err := parseCredits(credit.Format(want))
		if err != nil || got != want {
			t.Fatalf("%d is shown as %s and read as %d, %v", want, credit.Format(want), got, err)
		}
	})
}

func FuzzParseCredits(f *testing.F) {
	for _, s := range []string{"10", "2.5", "0.000001", "-1", "1e9", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseCredits(s)
		if err != nil {
			return
		}
		if again, err := parseCredits(credit.Format(got)); err != nil || again != got {
			t.Fatalf("%q is %d, shown as %s, read again as %d, %v", s, got, credit.Format(got), again, err)
		}
	})
}

func TestShownUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 999 * time.Millisecond: "0s", 61 * time.Second: "1m 1s", 3 * time.Hour: "3h 0m",
		166*time.Hour + 30*time.Minute: "6d 22h", math.MaxInt64: "106751d 23h",
	} {
		if got := duration(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
	for n, want := range map[uint64]string{2048: "2 GiB", 1536: "1536 MiB", 0: "0 GiB"} {
		if got := mib(n); got != want {
			t.Errorf("%d MiB: got %q, want %q", n, got, want)
		}
	}
	if got := gibOf(1536, 16<<20); got != "1.5 of 16384 GiB" {
		t.Errorf("got %q", got)
	}
	d := newDesk(t)
	d.env.Now = func() time.Time { return time.Unix(1000, 0) }
	if got := d.ago(0) + "/" + d.ago(990) + "/" + d.ago(2000); got != "never/10s ago/0s ago" {
		t.Errorf("got %q", got)
	}
}
