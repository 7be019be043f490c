package network

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

type addrRange struct{ first, last netip.Addr }

// merge returns IPv4 networks as ranges in order that neither overlap nor
// touch.
func merge(nets []netip.Prefix) []addrRange {
	sorted := slices.Clone(nets)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int { return a.Masked().Addr().Compare(b.Masked().Addr()) })
	var out []addrRange
	for _, p := range sorted {
		first := p.Masked().Addr()
		raw := first.As4()
		last := binary.BigEndian.Uint32(raw[:]) | uint32(1<<(32-p.Bits())-1) //nolint:gosec // fits 32 bits
		binary.BigEndian.PutUint32(raw[:], last)
		r := addrRange{first, netip.AddrFrom4(raw)}
		if k := len(out) - 1; k >= 0 && (!out[k].last.Next().IsValid() || !out[k].last.Next().Less(r.first)) {
			if out[k].last.Less(r.last) {
				out[k].last = r.last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}
