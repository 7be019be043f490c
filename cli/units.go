package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hippius/compute/core/credit"
)

// parseCredits reads credits with up to six decimals, exactly.
func parseCredits(s string) (uint64, error) {
	whole, frac, hasFrac := strings.Cut(s, ".")
	if len(frac) > 6 || (hasFrac && frac == "") {
		return 0, usagef("%q is not an amount of credits; use a number such as 10 or 2.5, at most six decimals", s)
	}
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || w > 1_000_000_000_000 {
		return 0, usagef("%q is not an amount of credits; use a number such as 10 or 2.5, at most 1000000000000", s)
	}
	f, err := strconv.ParseUint((frac + "000000")[:6], 10, 64)
	if err != nil {
		return 0, usagef("%q is not an amount of credits; use a number such as 10 or 2.5", s)
	}
	return w*credit.PerCredit + f, nil
}

// duration shows the two largest units: "6d 22h", "3m 5s".
func duration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	s := int64(d / time.Second)
	parts := []struct {
		n    int64
		unit string
	}{{s / 86400, "d"}, {s % 86400 / 3600, "h"}, {s % 3600 / 60, "m"}, {s % 60, "s"}}
	var out []string
	for _, p := range parts {
		if p.n > 0 || len(out) > 0 {
			out = append(out, fmt.Sprintf("%d%s", p.n, p.unit))
		}
		if len(out) == 2 {
			break
		}
	}
	if len(out) == 0 {
		return "0s"
	}
	return strings.Join(out, " ")
}

// when shows a unix second in the terminal's own time; "" for 0.
func when(unix int64) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).Format("2006-01-02 15:04:05")
}

// mib shows a size given in MiB.
func mib(n uint64) string {
	if n%1024 == 0 {
		return fmt.Sprintf("%d GiB", n/1024)
	}
	return fmt.Sprintf("%d MiB", n)
}

// gibOf shows a part of a size, both given in MiB, in GiB.
func gibOf(part, whole uint64) string {
	return gibText(part) + " of " + gibText(whole) + " GiB"
}

func gibText(mib uint64) string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(mib)/1024, 'f', 1, 64), ".0")
}

// ago shows how long a unix second is past; "never" for 0.
func (c *command) ago(unix int64) string {
	if unix == 0 {
		return "never"
	}
	return duration(c.env.Now().Sub(time.Unix(unix, 0))) + " ago"
}
