package network

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// defect is one part of the state that differs from the configuration.
type defect struct {
	tap  string // its interface; "" for what concerns all
	what string
	// open: packets may pass that should not.
	open bool
	// down: the tap must be down for the repair.
	down bool
}

func (d defect) String() string {
	if d.tap == "" {
		return d.what
	}
	return d.tap + ": " + d.what
}

// generation of the kernel's nftables rules in this network namespace: another one after each change of any of them,
// never 0.
func generation() (uint32, error) {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	replies, err := req.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return 0, fmt.Errorf("generation of nftables: %w", err)
	}
	for _, reply := range replies {
		attrs, err := nl.ParseRouteAttr(reply[min(nl.SizeofNfgenmsg, len(reply)):])
		if err != nil {
			return 0, fmt.Errorf("generation of nftables: %w", err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.NFTA_GEN_ID && len(a.Value) >= 4 {
				return binary.BigEndian.Uint32(a.Value), nil
			}
		}
	}
	return 0, errors.New("generation of nftables: no answer")
}

// ruleDefects compares all tables, chains, rules and sets with what they should be. It also gives the generation that
// was compared, or 0 if others kept changing rules meanwhile.
func (n *Network) ruleDefects(taps []Tap) (found []defect, gen uint32, unread error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, 0, fmt.Errorf("nftables: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }()
	const attempts = 3
	for range attempts {
		before, err := generation()
		if err != nil {
			return nil, 0, err
		}
		r := reading{conn: conn, n: n}
		readErr := r.read(taps)
		after, err := generation()
		if err != nil {
			return nil, 0, err
		}
		if before == after {
			return r.found, after, readErr
		}
		found, unread = r.found, readErr
	}
	return found, 0, unread
}

// reading is one look at all rules.
type reading struct {
	conn  *nftables.Conn
	n     *Network
	found []defect
}

func (r *reading) report(tap, form string, args ...any) {
	r.found = append(r.found, defect{tap: tap, what: fmt.Sprintf(form, args...), open: true, down: true})
}

func (r *reading) read(taps []Tap) error {
	base, err := r.hasTable(r.n.table())
	if err != nil {
		return err
	}
	if !base {
		r.report("", "table %s is missing or off", r.n.table().Name)
	} else if err := r.readBase(taps); err != nil {
		return err
	}
	if len(taps) == 0 {
		return nil
	}
	ours, err := r.hasTable(r.n.tapTable())
	if err != nil {
		return err
	}
	chains := map[string]*nftables.Chain{}
	if ours {
		if chains, err = r.chains(r.n.tapTable()); err != nil {
			return err
		}
	}
	for _, t := range taps {
		if err := r.compareChain(t.Name, r.n.tapRules(t), chains); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) readBase(taps []Tap) error {
	chains, err := r.chains(r.n.table())
	if err != nil {
		return err
	}
	for _, c := range r.n.baseChains() {
		if err := r.compareChain("", c, chains); err != nil {
			return err
		}
	}
	for _, s := range r.n.baseSets(taps) {
		if err := r.compareSet(s); err != nil {
			return err
		}
	}
	return nil
}

// hasTable tells whether a table is there and in force: a dormant one has its rules and no effect.
func (r *reading) hasTable(table *nftables.Table) (bool, error) {
	tables, err := r.conn.ListTablesOfFamily(table.Family)
	if err != nil {
		return false, fmt.Errorf("list nftables tables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == table.Name && t.Flags == 0 }), nil
}

func (r *reading) chains(table *nftables.Table) (map[string]*nftables.Chain, error) {
	all, err := r.conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	named := make(map[string]*nftables.Chain, len(all))
	for _, c := range all {
		if c.Table.Name == table.Name {
			named[c.Name] = c
		}
	}
	return named, nil
}

func (r *reading) compareChain(tap string, should *chainRules, chains map[string]*nftables.Chain) error {
	name := should.chain.Name
	is := chains[name]
	if is == nil {
		r.report(tap, "chain %s is missing", name)
		return nil
	}
	if !sameHook(is, should.chain) {
		r.report(tap, "chain %s is hooked otherwise", name)
		return nil
	}
	rules, err := r.conn.GetRules(should.chain.Table, should.chain)
	if err != nil {
		return fmt.Errorf("read rules of %s: %w", name, err)
	}
	same, err := sameRules(rules, should.rules)
	if err != nil {
		return fmt.Errorf("compare rules of %s: %w", name, err)
	}
	if !same {
		r.report(tap, "rules of chain %s are altered", name)
	}
	return nil
}

func sameHook(is, should *nftables.Chain) bool {
	if should.Hooknum == nil {
		return is.Hooknum == nil
	}
	return is.Hooknum != nil && *is.Hooknum == *should.Hooknum && *is.Priority == *should.Priority &&
		is.Type == should.Type && is.Policy != nil && *is.Policy == *should.Policy
}

func sameRules(are, should []*nftables.Rule) (bool, error) {
	if len(are) != len(should) {
		return false, nil
	}
	for i := range should {
		is, err := encodeRule(are[i], should[i].Table.Family)
		if err != nil {
			return false, err
		}
		want, err := encodeRule(should[i], should[i].Table.Family)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(is, want) {
			return false, nil
		}
	}
	return true, nil
}

// encodeRule gives a rule as bytes, without what it has counted.
func encodeRule(rule *nftables.Rule, family nftables.TableFamily) ([]byte, error) {
	out := slices.Clone(rule.UserData)
	for _, e := range rule.Exprs {
		if _, counts := e.(*expr.Counter); counts {
			e = &expr.Counter{}
		}
		b, err := expr.Marshal(byte(family), e)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

func (r *reading) compareSet(should setContent) error {
	name := should.set.Name
	is, err := r.conn.GetSetByName(should.set.Table, name)
	if errors.Is(err, unix.ENOENT) {
		r.report("", "set %s is missing", name)
		return nil
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return fmt.Errorf("read set %s: %w", name, errno)
	}
	// Any other error is of a type that the library does not know.
	if err != nil || !sameKind(is, should.set) {
		r.report("", "set %s is of another kind", name)
		return nil //nolint:nilerr // as said
	}
	if should.set.Dynamic {
		return nil
	}
	elements, err := r.conn.GetSetElements(should.set)
	if err != nil {
		return fmt.Errorf("read set %s: %w", name, err)
	}
	if !maps.Equal(contentOf(elements), contentOf(should.elements)) {
		r.report("", "elements of set %s are altered", name)
	}
	return nil
}

func sameKind(is, should *nftables.Set) bool {
	return is.Interval == should.Interval && is.IsMap == should.IsMap && is.Dynamic == should.Dynamic &&
		!is.HasTimeout && is.KeyType.Bytes == should.KeyType.Bytes
}

// contentOf gives the values of a set's elements by their keys. An interval's beginning and the end of the one before
// it may have the same key.
func contentOf(elements []nftables.SetElement) map[string]string {
	content := make(map[string]string, len(elements))
	for _, e := range elements {
		content[fmt.Sprintf("%x %t", e.Key, e.IntervalEnd)] = hex.EncodeToString(e.Val)
	}
	return content
}
