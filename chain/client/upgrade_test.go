package client

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(chain map[string]uint64)
		says   string
	}{
		"the same":      {change: func(map[string]uint64) {}},
		"more modules":  {change: func(m map[string]uint64) { m["storage"] = 1 }},
		"a newer chain": {change: func(m map[string]uint64) { m["mesh"], m["compute"] = 2, 3 }, says: "the chain was upgraded (compute 3, known is 2; mesh 2, known is 1); install"},
		"an older one":  {change: func(m map[string]uint64) { delete(m, "ranking") }, says: "the chain is older (ranking 0, wanted is 1)"},
	} {
		chain := maps.Clone(known())
		c.change(chain)
		err := compareVersions(chain, known())
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, ErrOtherVersion) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
