package node

import (
	"strings"
	"testing"
)

func TestValidVersion(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "dev", "v1.2.3-4-g0123abc-dirty", "1.0~rc1+b2_x", strings.Repeat("9", MaxVersionLen)} {
		if err := ValidVersion(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{".5", "-rf", "a b", "a/b", "a:b", "v1\n", "v\u00e9", strings.Repeat("9", MaxVersionLen+1)} {
		if ValidVersion(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
