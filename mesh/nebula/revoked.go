package nebula

import (
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// blockEvery is how often, at most, a lighthouse has the library take note of
// revoked certificates that appeared: it then reads every authority again.
const blockEvery = 10 * time.Second

// revocations are the certificates that parties gave up, by authority. The
// library knows one list that counts against everyone, and who could write
// into it would block others' certificates. So it is told only of those that
// were seen, and signed by the authority whose owner revoked them.
type revocations struct {
	by map[string]map[[32]byte]struct{}
	// seen are the fingerprints the library is to refuse, by authority: at most so many in all that authorities have equal shares
	// of MaxBlocklist. What gave way is found again when it appears.
	seen  map[string]map[string]struct{}
	count int
	// news: there are some that the library was not told of.
	news bool
}

func newRevocations(listed map[string][][]byte, before *revocations) *revocations {
	r := &revocations{by: make(map[string]map[[32]byte]struct{}, len(listed)), seen: map[string]map[string]struct{}{}}
	for authority, list := range listed {
		if len(list) == 0 {
			continue
		}
		of := make(map[[32]byte]struct{}, len(list))
		for _, f := range list {
			of[[32]byte(f)] = struct{}{}
		}
		r.by[authority] = of
	}
	if before != nil {
		for authority, seen := range before.seen {
			for fingerprint := range seen {
				r.see(authority, fingerprint)
			}
		}
	}
	return r
}

// see takes note of a certificate if its authority's owner revoked it.
func (r *revocations) see(authority, fingerprint string) (revoked bool) {
	raw, err := hex.DecodeString(fingerprint)
	if err != nil || len(raw) != 32 {
		return false
	}
	if _, revoked = r.by[authority][[32]byte(raw)]; revoked {
		r.note(authority, fingerprint, MaxBlocklist)
	}
	return revoked
}

// note remembers one that was seen, of at most so many. Of a full list one of the largest authority gives way, if it has more by two.
func (r *revocations) note(authority, fingerprint string, most int) {
	if _, known := r.seen[authority][fingerprint]; known {
		return
	}
	if r.count >= most {
		largest := authority
		for other, seen := range r.seen {
			if len(seen) > len(r.seen[largest]) {
				largest = other
			}
		}
		if len(r.seen[largest]) <= len(r.seen[authority])+1 {
			return
		}
		for gone := range r.seen[largest] {
			delete(r.seen[largest], gone)
			r.count--
			break
		}
	}
	if r.seen[authority] == nil {
		r.seen[authority] = map[string]struct{}{}
	}
	r.seen[authority][fingerprint] = struct{}{}
	r.count++
	r.news = true
}

// look takes note of all revoked certificates that have a tunnel.
func (r *revocations) look(tunnels []Peer) {
	for _, p := range tunnels {
		r.see(p.Issuer, p.Fingerprint)
	}
}

// blocked is the blocklist of c and what was seen, as the library takes it.
func (r *revocations) blocked(c Config) map[string]struct{} {
	all := set(c.Blocklist)
	for _, seen := range r.seen {
		for fingerprint := range seen {
			all[fingerprint] = struct{}{}
		}
	}
	return all
}

// enforce looks for revoked certificates on a lighthouse while it runs: one
// that was revoked before it ever appeared is cut within seconds.
func (n *Node) enforce() {
	defer close(n.mended)
	last := time.Now()
	for {
		wait := time.NewTimer(mendEvery/2 + rand.N(mendEvery)) //nolint:gosec // spreads load, keeps no secret
		select {
		case <-n.life.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		n.mu.Lock()
		if n.enforceNow(time.Since(last) >= blockEvery) {
			last = time.Now()
		}
		n.mu.Unlock()
	}
}

// enforceNow cuts what is revoked and, if it may, has the library refuse it
// from then on; it tells whether that was tried.
func (n *Node) enforceNow(mayBlock bool) bool {
	if len(n.revoked.by) == 0 {
		return false
	}
	tunnels := n.tunnels()
	cut := revocation{certificates: map[string]struct{}{}}
	for _, p := range tunnels {
		if n.revoked.see(p.Issuer, p.Fingerprint) {
			cut.certificates[p.Fingerprint] = struct{}{}
		}
	}
	news := n.revoked.news
	if news && mayBlock {
		if err := n.apply(n.config, n.trust, n.revoked); err != nil {
			n.log.Error("block revoked certificates", "error", err)
		}
	}
	n.cut(cut)
	return news && mayBlock
}
