package network

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// obstacle is a chain of another program that drops what is forwarded unless a rule accepts it, in a table where no rule accepts what
// comes from the taps, or what goes there. What one chain drops is dropped, whatever others accept.
type obstacle struct {
	chain    *nftables.Chain
	from, to bool // accepted already
}

func (o obstacle) String() string {
	return fmt.Sprintf("%s in table %s", o.chain.Name, o.chain.Table.Name)
}

// Blocked names, in words, the chains of other programs on this host that drop what VMs of a miner with this tag send or are sent, as
// the policy for what is forwarded that Docker sets. Guard adds a rule at their ends. Rules that accept by something else than
// the interface do not count, so that a chain may be named that lets VMs' packets through. It needs CAP_NET_ADMIN. Chains whose rules
// cannot be read are named by the error, beside the others.
func Blocked(tag string) ([]string, error) {
	all, err := obstacles((&Network{cfg: Config{Tag: tag}}).table().Name, TapPrefix(tag))
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.String()
	}
	slices.Sort(names)
	return names, err
}

func obstacles(ours, prefix string) (found []obstacle, err error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	for _, c := range chains {
		if !dropsForwarded(c) || c.Table.Name == ours {
			continue
		}
		o := obstacle{chain: c}
		var readErr error
		if o.from, o.to, readErr = acceptsTaps(conn, chains, c.Table, prefix); readErr != nil {
			err = errors.Join(err, fmt.Errorf("read rules of nftables table %s: %w", c.Table.Name, readErr))
		}
		if !o.from || !o.to {
			found = append(found, o)
		}
	}
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

// acceptsByName tells whether a rule accepts what comes from, or goes to, interfaces among which the taps are, and looks at nothing else.
func acceptsByName(rule []expr.Any, prefix string) (from, to bool) {
	accepts, others := false, false
	var last expr.MetaKey
	for _, e := range rule {
		switch e := e.(type) {
		case *expr.Meta:
			last = e.Key
		case *expr.Cmp:
			name := string(bytes.TrimRight(e.Data, "\x00"))
			switch begins := e.Op == expr.CmpOpEq && len(e.Data) == len(name) && strings.HasPrefix(prefix, name); {
			case begins && last == expr.MetaKeyIIFNAME:
				from = true
			case begins && last == expr.MetaKeyOIFNAME:
				to = true
			default:
				others = true
			}
		case *expr.Verdict:
			accepts = e.Kind == expr.VerdictAccept
		case *expr.Counter:
		default:
			others = true
		}
	}
	switch {
	case !accepts || others || from && to:
		return false, false
	case !from && !to: // it accepts everything
		return true, true
	}
	return from, to
}

// passOthers has other programs' chains accept what comes from the taps and goes there, where nothing else in them decides: rules are
// added at their ends, so that what these programs drop on purpose stays dropped, and our own chains judge the packets all the same. A rule
// is of the form that iptables writes, which would not read its table otherwise. Rules are read after a change alone. n.mu is held.
func (n *Network) passOthers() {
	gen, err := generation()
	if err != nil || gen == n.othersGen {
		return
	}
	found, err := obstacles(n.table().Name, n.prefix())
	if len(found) > 0 {
		n.log.Warn("other programs drop what VMs send and are sent: adding rules that accept it", "error", errors.New(words(found)))
		err = errors.Join(err, n.transact(func(conn *nftables.Conn) error {
			for _, o := range found {
				n.accept(conn, o)
			}
			return nil
		}))
		n.stats.repairs.Add(1)
		if found, gen = nil, 0; err != nil {
			found, _ = obstacles(n.table().Name, n.prefix()) // what cannot be read is told above
		}
	}
	if err != nil {
		n.log.Error("rules of other programs that may cut VMs off", "error", err)
	}
	n.stats.blocked.Store(int64(len(found)))
	n.othersGen = gen
}

func words(all []obstacle) string {
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.String()
	}
	return strings.Join(names, ", ")
}

// accept adds the rules that a chain lacks.
func (n *Network) accept(conn *nftables.Conn, o obstacle) {
	for _, way := range []struct {
		has   bool
		match []expr.Any
	}{{o.from, inIs(n.prefix())}, {o.to, outIs(n.prefix())}} {
		if !way.has {
			conn.AddRule(&nftables.Rule{
				Table: o.chain.Table, Chain: o.chain, Exprs: join(way.match, []expr.Any{&expr.Counter{}}, accept()),
				UserData: userdata.AppendString(nil, userdata.TypeComment, n.comment()),
			})
		}
	}
}

// comment marks rules of ours in the chains of others.
func (n *Network) comment() string { return n.table().Name }

// leaveOthers takes our rules out of the chains of other programs.
func (n *Network) leaveOthers() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	var errs []error
	for _, c := range chains {
		if c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward || c.Table.Name == n.table().Name {
			continue
		}
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			continue // ours could be read
		}
		for _, r := range rules {
			if why, ok := userdata.GetString(r.UserData, userdata.TypeComment); ok && why == n.comment() {
				errs = append(errs, n.transactIfThere(func(conn *nftables.Conn) error { return conn.DelRule(r) }))
			}
		}
	}
	return errors.Join(errs...)
}
