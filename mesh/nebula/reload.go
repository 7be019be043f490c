package nebula

import (
	"fmt"
	"time"
)

// Reload replaces authorities, certificate, lighthouses, blocklist, firewall
// and relay settings while the node runs. Sessions go on, except those of
// peers it revokes, which are cut before it returns: peers whose authority was
// removed or whose certificate was blocked. It is all or nothing: on an error
// the old settings stand. When a lighthouse drops an authority that its hosts
// have just renewed, their relayed sessions may pause for some seconds.
//
// It costs a signature check for each authority, in the calling goroutine:
// a lighthouse with thousands should gather changes and reload in batches.
// Open flows pass a tightened firewall until they end; to cut them, block the
// peer's certificate.
func (n *Node) Reload(c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life.Err() != nil {
		return ErrClosed
	}
	if err := n.config.sameShape(c); err != nil {
		return fmt.Errorf("reload mesh: %w", err)
	}
	t, err := load(c, time.Now(), n.trust.seen)
	if err != nil {
		return fmt.Errorf("reload mesh: %w", err)
	}
	if err := n.trust.sameNetworks(t); err != nil {
		return fmt.Errorf("reload mesh: %w", err)
	}
	before, blockedBefore := n.trust, n.revoked.blocked(n.config)
	r := newRevocations(c.Revoked, n.revoked)
	if len(r.by) > 0 {
		r.look(n.tunnels())
	}
	if err := n.apply(c, t, r); err != nil {
		return fmt.Errorf("reload mesh: %w", err)
	}
	n.warnOutOfTime(t)
	n.cut(revoked(before, t, blockedBefore, r.blocked(c)))
	return nil
}

// apply hands settings to the library, and keeps them if it takes them.
func (n *Node) apply(c Config, t *trust, r *revocations) error {
	// The library offers a reload from text only. The text is a mere trigger:
	// our callback, the first, puts the real settings in its place before any
	// other reads them, and megabytes of certificates pass no YAML parser.
	n.next = c.settings(t, r.blocked(c))
	if err := n.settings.ReloadConfigString("reload: true"); err != nil {
		return err
	}
	n.config, n.trust, n.revoked, r.news = c, t, r, false
	return nil
}

func set(list []string) map[string]struct{} {
	out := make(map[string]struct{}, len(list))
	for _, s := range list {
		out[s] = struct{}{}
	}
	return out
}

// revocation is what a reload took away.
type revocation struct {
	issuers      map[string]struct{}
	certificates map[string]struct{}
}

func revoked(before, after *trust, blockedBefore, blockedAfter map[string]struct{}) revocation {
	r := revocation{issuers: map[string]struct{}{}, certificates: map[string]struct{}{}}
	for fp := range before.issuers {
		if _, still := after.issuers[fp]; !still {
			r.issuers[fp] = struct{}{}
		}
	}
	for fp := range blockedAfter {
		if _, already := blockedBefore[fp]; !already {
			r.certificates[fp] = struct{}{}
		}
	}
	return r
}

// maxTunnels bounds how many tunnels to one host are closed in a row; while
// certificates change there may be a few.
const maxTunnels = 16

// cut closes tunnels at once that the library itself would close within
// seconds, when it next checks them. A host may have several, made with several
// certificates. If one of them is blocked all go: who holds the others makes a
// new one, who was meant cannot. If one's authority was removed, as at the end
// of a renewal, those in use that it signed go and the others stay.
func (n *Node) cut(r revocation) {
	if len(r.issuers) == 0 && len(r.certificates) == 0 {
		return
	}
	for _, p := range n.tunnels() {
		addr := p.Addrs[0]
		_, all := r.certificates[p.Fingerprint]
		for range maxTunnels {
			inUse, ok := n.Peer(addr)
			_, issuerGone := r.issuers[inUse.Issuer]
			if !ok || !all && !issuerGone || !n.control.CloseTunnel(addr, false) {
				break
			}
			n.log.Info("cut a revoked peer", "addr", addr, "fingerprint", inUse.Fingerprint, "blocked", all)
		}
	}
}
