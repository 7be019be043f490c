package nebula

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A tenant that has as many of its revoked certificates appear as a lighthouse can have refused keeps no other's from being.
func TestRevokedAreShared(t *testing.T) {
	t.Parallel()
	const most = 100
	r := newRevocations(nil, nil)
	for i := range 3 * most {
		r.note("flood", fmt.Sprint(i), most)
	}
	require.Equal(t, most, r.count)
	r.news = false
	for _, tenant := range []string{"a", "b", "c"} {
		for i := range most {
			r.note(tenant, fmt.Sprint(tenant, i), most)
		}
	}
	require.True(t, r.news, "the library is told")
	require.Len(t, r.blocked(Config{}), most)
	for tenant, seen := range r.seen {
		require.InDelta(t, most/4, len(seen), 1, tenant)
	}
	r.news = false
	for fingerprint := range r.seen["a"] {
		r.note("a", fingerprint, most)
	}
	require.False(t, r.news, "those that are known are no news")
}
