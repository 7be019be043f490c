package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/fault"
)

// attached is a tap and its interface as it was when it was listed.
type attached struct {
	Tap
	link netlink.Link
}

func tapsOf(all []attached) []Tap {
	taps := make([]Tap, len(all))
	for i, a := range all {
		taps[i] = a.Tap
	}
	return taps
}

// verify compares everything that Ensure and New set with what it should be. Rules whose generation was found whole
// before are not read again. n.mu is held.
func (n *Network) verify(ctx context.Context) (all []attached, found []defect, err error) {
	if all, err = n.sort(ctx); err != nil {
		return nil, nil, err
	}
	gen, err := generation()
	if err != nil {
		return nil, nil, err
	}
	links := indicesOf(all)
	if gen != n.wholeGen || !maps.Equal(links, n.wholeLinks) || time.Since(n.readAt) >= reread {
		n.wholeGen, n.readAt = 0, time.Now()
		if found, gen, err = n.ruleDefects(tapsOf(all)); err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			n.wholeGen, n.wholeLinks = gen, links
		}
	}
	ofLinks, err := n.linkDefects(all)
	if err != nil {
		return nil, nil, err
	}
	return all, append(found, ofLinks...), nil
}

// indicesOf gives the numbers of the interfaces by their names: one that was made anew has another.
func indicesOf(all []attached) map[string]int {
	indices := make(map[string]int, len(all))
	for _, a := range all {
		indices[a.Name] = a.link.Attrs().Index
	}
	return indices
}

// restore verifies everything and repairs what it finds. What lets packets pass that should not is repaired while the
// taps concerned are down; they are taken up only when everything of theirs was verified again. It gives what could not
// be repaired, the taps of which are down if it is open. Of defects that are not open, those for which ignore is true
// are left alone. n.mu is held.
func (n *Network) restore(ctx context.Context, ignore func(defect) bool) ([]defect, error) {
	all, found, err := n.look(ctx)
	if err != nil {
		return nil, n.unreadOnce(ctx, err)
	}
	n.unread = 0
	found = slices.DeleteFunc(found, func(d defect) bool { return !d.open && ignore != nil && ignore(d) })
	if len(found) == 0 {
		n.verifiedAt = time.Now()
		n.stats.verified.Store(n.verifiedAt.UnixNano())
		return nil, nil
	}
	n.wholeGen = 0
	n.log.Warn("network differs from its configuration: repairing it", "defects", summary(found), "taps", len(all))
	repairErr := n.repair(all, found)
	all, left, err := n.look(ctx)
	if err != nil {
		return found, errors.Join(repairErr, err)
	}
	left = slices.DeleteFunc(left, func(d defect) bool {
		return d.what == switchedOff || !d.open && !slices.Contains(found, d)
	})
	whole := slices.DeleteFunc(slices.Clone(all), func(a attached) bool { return concerned(a.Tap, left, needsDown) })
	raiseErr := n.raise(whole)
	if len(left) > 0 {
		return left, errors.Join(repairErr, raiseErr, fmt.Errorf("network still differs from its configuration: %s", summary(left)))
	}
	if err := errors.Join(repairErr, raiseErr); err != nil {
		return nil, err
	}
	n.verifiedAt = time.Now()
	n.stats.verified.Store(n.verifiedAt.UnixNano())
	n.stats.repairs.Add(1)
	n.log.Warn("network repaired", "defects", summary(found), "taps", len(all))
	return nil, nil
}

// unreadOnce counts that nothing is known of the state, and takes the taps down if that lasts.
func (n *Network) unreadOnce(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	err = fmt.Errorf("read the state of the network: %w", err)
	if n.unread++; n.unread == unreadable {
		return errors.Join(err, n.closeAll())
	}
	return err
}

// maxSummary bounds how many defects a message names.
const maxSummary = 8

func summary(found []defect) string {
	var words []string
	for _, d := range found[:min(maxSummary, len(found))] {
		words = append(words, d.String())
	}
	if more := len(found) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

func isAny(defect) bool       { return true }
func isOpen(d defect) bool    { return d.open }
func needsDown(d defect) bool { return d.down }

// concerned tells whether one of some defects is of a kind and of a tap, or of all.
func concerned(t Tap, found []defect, kind func(defect) bool) bool {
	return slices.ContainsFunc(found, func(d defect) bool { return kind(d) && (d.tap == "" && d.open || d.tap == t.Name) })
}

// repair takes the taps down that must be, and puts everything as it should be but that: the taps stay down.
func (n *Network) repair(all []attached, found []defect) error {
	down := slices.DeleteFunc(slices.Clone(all), func(a attached) bool { return !concerned(a.Tap, found, needsDown) })
	errs := []error{n.close(down)}
	if slices.ContainsFunc(found, func(d defect) bool { return d.tap == "" && d.open }) {
		if err := n.layBase(tapsOf(all)); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, fault.Point("network.restored"))
	}
	if slices.ContainsFunc(found, func(d defect) bool { return d.tap == "" && !d.open }) {
		errs = append(errs, forward())
	}
	var relay []Tap
	for _, a := range all {
		own := func(kind func(defect) bool) bool {
			return slices.ContainsFunc(found, func(d defect) bool { return d.tap == a.Name && kind(d) })
		}
		if own(isAny) {
			errs = append(errs, n.settle(a), netlink.LinkSetAlias(a.link, a.alias()))
		}
		if own(isOpen) {
			errs = append(errs, netlink.LinkSetNoMaster(a.link))
			relay = append(relay, a.Tap)
		}
	}
	return errors.Join(append(errs, n.relayTaps(relay))...)
}

// close takes taps down: nothing passes through them then, whatever the rules.
func (n *Network) close(taps []attached) error {
	if len(taps) == 0 {
		return nil
	}
	var errs []error
	for _, a := range taps {
		if err := netlink.LinkSetDown(a.link); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("take tap %s down: %w", a.Name, err))
		}
	}
	return errors.Join(append(errs, fault.Point("network.closed"))...)
}

// raise takes those of some taps up that are down, and whose rules are whole. Whatever was opened before, perhaps while
// there were no rules, is forgotten first.
func (n *Network) raise(taps []attached) error {
	var guests []netip.Addr
	taps = slices.DeleteFunc(taps, func(a attached) bool { return isUp(a.link) })
	if len(taps) == 0 {
		return nil
	}
	for _, a := range taps {
		guests = append(guests, a.Guest.Addr())
	}
	if err := forgetFlows(guests...); err != nil {
		return err
	}
	if err := fault.Point("network.cleared"); err != nil {
		return err
	}
	var errs []error
	for _, a := range taps {
		if err := netlink.LinkSetUp(a.link); err != nil {
			errs = append(errs, fmt.Errorf("switch tap %s on: %w", a.Name, err))
		}
	}
	return errors.Join(append(errs, fault.Point("network.up"))...)
}
