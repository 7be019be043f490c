package network

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Blocked names, in words, the chains of other programs on this host that keep packets of VMs from being forwarded: those that drop
// what none of their rules accepts, in a table where no rule accepts what comes from the taps of a miner with this tag, or what goes
// there. What one chain drops is dropped, whatever others accept. Rules that accept by something else than the interface are not
// understood, so that a chain may be named that lets VMs' packets through. It needs CAP_NET_ADMIN. Chains whose rules cannot be read are
// named by the error, beside the others.
func Blocked(tag string) (found []string, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	n := Network{cfg: Config{Tag: tag}}
	for _, c := range chains {
		if !dropsForwarded(c) || c.Table.Name == n.table().Name {
			continue
		}
		from, to, readErr := acceptsTaps(conn, chains, c.Table, n.prefix())
		if readErr != nil {
			err = errors.Join(err, fmt.Errorf("read rules of nftables table %s: %w", c.Table.Name, readErr))
		}
		if !from || !to {
			found = append(found, fmt.Sprintf("%s in table %s", c.Name, c.Table.Name))
		}
	}
	slices.Sort(found)
	return found, err
}

// dropsForwarded tells whether a chain drops what is forwarded over IPv4 unless one of its rules accepts it.
func dropsForwarded(c *nftables.Chain) bool {
	return (c.Table.Family == nftables.TableFamilyIPv4 || c.Table.Family == nftables.TableFamilyINet) &&
		c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
}

// acceptsTaps tells whether some rule of a table accepts what comes from the taps, and some what goes to them.
func acceptsTaps(conn *nftables.Conn, chains []*nftables.Chain, table *nftables.Table, prefix string) (from, to bool, err error) {
	for _, c := range chains {
		if c.Table.Family != table.Family || c.Table.Name != table.Name {
			continue
		}
		rules, readErr := conn.GetRules(c.Table, c)
		if readErr != nil {
			err = errors.Join(err, fmt.Errorf("chain %s: %w", c.Name, readErr))
			continue
		}
		for _, r := range rules {
			f, t := acceptsByName(r.Exprs, prefix)
			from, to = from || f, to || t
		}
	}
	return from, to, err
}

// acceptsByName tells whether a rule accepts what comes from, or goes to, interfaces among which the taps are. One that looks at no
// interface is taken to accept neither, unless it looks at nothing at all.
func acceptsByName(rule []expr.Any, prefix string) (from, to bool) {
	accepts, matches := false, false
	var last expr.MetaKey
	for _, e := range rule {
		switch e := e.(type) {
		case *expr.Meta:
			last = e.Key
		case *expr.Cmp:
			matches = true
			if name := string(bytes.TrimRight(e.Data, "\x00")); e.Op == expr.CmpOpEq && strings.HasPrefix(prefix, name) && len(e.Data) == len(name) {
				from, to = from || last == expr.MetaKeyIIFNAME, to || last == expr.MetaKeyOIFNAME
			}
		case *expr.Verdict:
			accepts = e.Kind == expr.VerdictAccept
		case *expr.Counter:
		default:
			matches = true
		}
	}
	if accepts && !matches {
		return true, true
	}
	return accepts && from, accepts && to
}

// lookAtOthers says when other programs' rules begin to cut VMs off, and when they end it. Rules are read after a change alone. n.mu is held.
func (n *Network) lookAtOthers() {
	gen, err := generation()
	if err != nil || gen == n.othersGen {
		return
	}
	found, err := Blocked(n.cfg.Tag)
	if err != nil {
		n.log.Warn("look at other programs' rules", "error", err)
	}
	n.othersGen = gen
	n.stats.blocked.Store(int64(len(found)))
	names := strings.Join(found, ", ")
	switch {
	case names == n.others:
	case names == "":
		n.log.Info("other programs' rules let VMs' packets through again")
	default:
		n.log.Error("VMs are cut off: other programs' rules drop what is forwarded; see 'hippius-miner doctor'", "error", errors.New(names))
	}
	n.others = names
}
