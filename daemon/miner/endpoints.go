package miner

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hippius/compute/mesh/admit"
)

const (
	resolveTimeout = 3 * time.Second
	// resolveAgain is how long an answer is good for, also that there is none.
	resolveAgain = time.Minute
	// maxEndpoints of one lighthouse.
	maxEndpoints = 4
	// maxAllowed open at once: as many as there can be lighthouses, with all their endpoints.
	maxAllowed = 4096
	// closeAfter nobody here was told of an endpoint.
	closeAfter = 10 * time.Minute
)

// resolved remembers what names stand for. They are strangers': each is asked
// for now and then, and none waited for by the next.
type resolved struct {
	mu    sync.Mutex
	known map[string]answer // by all of a lighthouse's endpoints
}

type answer struct {
	at    []netip.AddrPort
	asked time.Time
}

// of gives where each of the lighthouses is.
func (r *resolved) of(ctx context.Context, lighthouses []admit.Admitted) [][]netip.AddrPort {
	out := make([][]netip.AddrPort, len(lighthouses))
	var all sync.WaitGroup
	for i, h := range lighthouses {
		all.Go(func() { out[i] = r.one(ctx, h.Endpoints) })
	}
	all.Wait()
	return out
}

func (r *resolved) one(ctx context.Context, endpoints []string) []netip.AddrPort {
	key, now := strings.Join(endpoints, " "), time.Now()
	r.mu.Lock()
	a, ok := r.known[key]
	r.mu.Unlock()
	if ok && now.Sub(a.asked) < resolveAgain {
		return a.at
	}
	a = answer{at: resolve(ctx, endpoints), asked: now}
	if ctx.Err() != nil {
		return a.at // perhaps for want of time
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]answer{}
	}
	maps.DeleteFunc(r.known, func(_ string, a answer) bool { return now.Sub(a.asked) >= resolveAgain })
	r.known[key] = a
	return a.at
}

// resolve gives the IPv4 endpoints that names stand for, in a settled order.
func resolve(ctx context.Context, endpoints []string) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var out []netip.AddrPort
	for _, e := range endpoints {
		host, text, err := net.SplitHostPort(e)
		if err != nil {
			continue
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			continue
		}
		addrs := []netip.Addr{}
		if a, err := netip.ParseAddr(host); err == nil {
			addrs = append(addrs, a)
		} else if found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host); err == nil {
			addrs = found
		}
		for _, a := range addrs {
			if a = a.Unmap(); a.Is4() && !a.IsUnspecified() && !a.IsMulticast() {
				out = append(out, netip.AddrPortFrom(a, uint16(port)))
			}
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	out = slices.Compact(out)
	return out[:min(len(out), maxEndpoints)]
}

// allowlist are the endpoints that guests were told of, and when last.
type allowlist struct {
	told map[netip.AddrPort]time.Time
	open []netip.AddrPort
}

// begin with those that an agent before this one left open.
func (d *allowlist) begin(open []netip.AddrPort, now time.Time) {
	d.told = map[netip.AddrPort]time.Time{}
	for _, e := range open {
		d.told[e] = now
	}
	d.open = slices.Clone(open)
}

// tell notes that guests are about to be told of some, and opens them; those
// that nobody was told of for long are closed.
func (d *allowlist) tell(ends []netip.AddrPort, now time.Time, open func([]netip.AddrPort) error) error {
	if d.told == nil {
		d.told = map[netip.AddrPort]time.Time{}
	}
	for _, e := range ends {
		d.told[e] = now
	}
	maps.DeleteFunc(d.told, func(_ netip.AddrPort, at time.Time) bool { return now.Sub(at) >= closeAfter })
	want := slices.Collect(maps.Keys(d.told))
	if len(want) > maxAllowed {
		slices.SortFunc(want, func(a, b netip.AddrPort) int { return cmp.Or(d.told[b].Compare(d.told[a]), a.Compare(b)) })
		for _, e := range want[maxAllowed:] {
			delete(d.told, e)
		}
		want = want[:maxAllowed]
	}
	slices.SortFunc(want, netip.AddrPort.Compare)
	if slices.Equal(want, d.open) {
		return nil
	}
	if err := open(want); err != nil {
		return err
	}
	d.open = want
	return nil
}
