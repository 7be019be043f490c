package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

const (
	// gap before a proof or a report that it covers, in seconds; also how old a proof may be.
	gap = 80
	// silence of a guest, in seconds and reports, after which its host's word counts.
	silenceSeconds, silenceReports = 600, 20
)

// book is kept beside the chain's own: from what was sent and taken it reckons
// anew what every VM may be charged, and who gets it.
type book struct {
	guests *guests
	times  map[int64]int64 // of blocks
	vms    map[vm.ID]*account
	// forgiven to an account, in ucredit·seconds per hour: what its balance could not pay.
	forgiven map[string]uint64
	// served is what an account was charged for service, in ucredit.
	served map[string]uint64
	// released to miners, to stakers and to the treasury, in uhip.
	miners, stakers, treasury uint64

	proofs, runOuts, moves, silences int
}

// account is one VM's.
type account struct {
	owner            string
	phase            string
	proven           bool
	last             int64   // attested up to; 0 for not
	disk             bool    // only the disk
	seen             []int64 // reports without a proof since the last one, none more than a gap after the one before
	running, stopped uint64
	silenced         bool  // by the report that is being entered
	began            bool  // a start that was not proven yet
	unproven         bool  // charged on its host's word until its first proof
	since            int64 // when it began
}

func newBook(g *guests) *book {
	return &book{guests: g, times: map[int64]int64{}, vms: map[vm.ID]*account{}, forgiven: map[string]uint64{}, served: map[string]uint64{}}
}

// enter takes a block in.
func (b *book) enter(height, now int64, done []apptest.Done, end []apptest.Event) error {
	b.times[height] = now
	for _, d := range done {
		if err := b.transaction(now, d); err != nil {
			return err
		}
	}
	for _, e := range end {
		until := int64(0)
		if e.Attr["reason"] == vm.ReasonCreditRunOut {
			until = now
			b.runOuts++
		}
		if err := b.event(e, now, until); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) transaction(now int64, d apptest.Done) error {
	until := now // what a tenant ends was alive until then, if it was shortly before
	if d.Batch != nil {
		until = 0
	}
	early := map[int]bool{}
	for _, e := range d.Events {
		if i := ran(d, e); i >= 0 && !early[i] {
			early[i] = true
			if err := b.taken(now, d.Batch.Reports[i]); err != nil {
				return fmt.Errorf("VM %.6s: %w", e.Attr["vm"], err)
			}
		}
		if err := b.event(e, now, until); err != nil {
			return err
		}
	}
	if d.Batch == nil || d.Code != 0 {
		return nil
	}
	for i, r := range d.Batch.Reports {
		if d.Batch.Results[i].Code != 0 || early[i] {
			continue
		}
		if err := b.taken(now, r); err != nil {
			return fmt.Errorf("VM %.6s: %w", r.ID, err)
		}
	}
	return nil
}

// ran is the report of a batch, by its place, that a VM ran, if the event is that it does not any more, by a later one of the same batch;
// else -1.
func ran(d apptest.Done, e apptest.Event) int {
	if d.Batch == nil || d.Code != 0 || e.Kind != "hippius.compute.vm_phase" || e.Attr["from"] != "running" {
		return -1
	}
	of := func(r vm.Report) bool { return string(r.ID) == e.Attr["vm"] }
	i := slices.IndexFunc(d.Batch.Reports, of)
	if i < 0 || d.Batch.Results[i].Code != 0 || d.Batch.Reports[i].Phase != vm.Running || !slices.ContainsFunc(d.Batch.Reports[i+1:], of) {
		return -1
	}
	return i
}

// taken is a report that the chain accepted; what phase it led to is known.
func (b *book) taken(now int64, r vm.Report) error {
	a := b.vms[r.ID]
	switch {
	case a.phase == "provisioning" && r.Phase == vm.Provisioning:
		if !vm.Starts(r.Reason) {
			return nil
		}
		if a.proven && a.last == 0 {
			a.last = now + vm.BootAllowance
		}
		return a.saw(now)
	case r.Phase != vm.Stopped && (a.phase == "running" || a.phase == "rebooting" || a.silenced):
		p := r.Proof
		if p == nil {
			return a.saw(now)
		}
		if !b.guests.did(signed{r.ID, r.InstanceSeq, p.Height}) {
			return fmt.Errorf("a proof of block %d by instance %d was taken that no guest signed", p.Height, r.InstanceSeq)
		}
		at := b.times[p.Height]
		if at == 0 || now-at > gap {
			return fmt.Errorf("a proof of block %d, %d s old, was taken", p.Height, now-at)
		}
		b.proofs++
		if a.last == 0 {
			a.word(at, vm.BootAllowance)
			a.last, a.seen = at, nil
		}
		a.confirm(at)
		a.cover(at)
		a.proven, a.unproven, a.began, a.seen = true, false, false, nil
	case a.phase == "stopped" && r.Phase == vm.Stopped && a.proven:
		if a.disk {
			a.cover(now)
		}
		a.last, a.disk = now, true
	}
	return nil
}

// saw notes a report without a proof.
func (a *account) saw(now int64) error {
	if a.silenced {
		a.silenced = false // the event told of it
		return nil
	}
	if a.last == 0 && !a.unproven {
		return nil
	}
	a.seen = append(a.lately(now), now)
	if a.silent() {
		return errors.New("its guest was silent for too long, and nothing came of it")
	}
	return nil
}

// lately is what the host reported without having been away since.
func (a *account) lately(now int64) []int64 {
	if n := len(a.seen); n > 0 && now-a.seen[n-1] > gap {
		return nil
	}
	return a.seen
}

func (a *account) silent() bool {
	n := len(a.seen)
	return n >= silenceReports && a.seen[n-1]-a.seen[0] >= silenceSeconds
}

// silence charges a silent guest on its host's word.
func (a *account) silence(now int64) error {
	a.seen = append(a.lately(now), now)
	if !a.silent() {
		return fmt.Errorf("its guest is called silent after %d reports", len(a.seen))
	}
	a.confirm(now)
	a.seen, a.silenced = []int64{now}, true
	return nil
}

// confirm charges what the host reported, up to a time.
func (a *account) confirm(until int64) {
	for _, s := range a.seen {
		if s <= until {
			a.cover(s)
		} else if s-gap < until {
			a.cover(until)
		}
	}
}

// cover charges the gap before a time, as far as it is not charged yet.
func (a *account) cover(at int64) {
	from := max(a.last, at-gap)
	if at <= from {
		return
	}
	if a.disk {
		a.stopped += uint64(at - from)
	} else {
		a.running += uint64(at - from)
	}
	a.last = at
}

// end charges what ends at a time, if it was seen shortly before; 0 for nothing after the last report.
func (a *account) end(until int64) {
	if a.last != 0 {
		a.confirm(math.MaxInt64)
		seen := a.last
		if n := len(a.seen); n > 0 {
			seen = a.seen[n-1] // before the last while a VM boots
		}
		if until-seen <= gap {
			a.cover(until)
		}
	} else { // it gave no proof before either
		a.word(math.MaxInt64, 0)
	}
	a.last, a.disk, a.seen = 0, false, nil
}

// word charges what a host reported of a run without a proof up to a time, but for so many seconds at its begin.
func (a *account) word(until, excused int64) {
	if n := len(a.seen); a.unproven && a.last == 0 && n > 0 {
		from, to := a.seen[0]+excused, min(a.seen[n-1], until, a.seen[0]+silenceSeconds+2*gap)
		a.running += uint64(max(to-from, 0))
	}
}

// event is one of the chain's; until is when what ends with it was last alive.
func (b *book) event(e apptest.Event, now, until int64) error {
	number := func(name string) uint64 {
		n, _ := strconv.ParseUint(e.Attr[name], 10, 64) // what is not there is 0
		return n
	}
	switch e.Kind {
	case "hippius.compute.vm_created":
		b.vms[vm.ID(e.Attr["vm"])] = &account{owner: e.Attr["owner"], phase: e.Attr["phase"]}
	case "hippius.compute.vm_assigned":
		b.moves++
		b.vms[vm.ID(e.Attr["vm"])].unproven = e.Attr["unproven"] == "true"
	case "hippius.compute.vm_phase":
		a := b.vms[vm.ID(e.Attr["vm"])]
		if a == nil || a.phase != e.Attr["from"] {
			return fmt.Errorf("VM %.6s came to %s from %s, where it was not", e.Attr["vm"], e.Attr["phase"], e.Attr["from"])
		}
		from, to := a.phase, e.Attr["phase"]
		a.phase = to
		if from == "running" && to == "rebooting" || from == "rebooting" && to == "running" {
			return nil
		}
		if (to == "failed" || to == "pending") && (from == "provisioning" || comesUp(from) && !a.proven) && now-a.since < silenceSeconds { // its host failed it
			a.word(math.MaxInt64, vm.BootAllowance)
			a.last, a.seen = 0, nil
		}
		if !a.began || !comesUp(from) || !comesUp(to) {
			a.end(until)
			if a.began && !a.proven && comesUp(from) && to == "stopping" {
				a.unproven = true
			}
		}
		if to == "provisioning" && (!a.began || until != 0 || from == "assigned") {
			a.began, a.since = true, now
		}
		if a.proven && to == "running" && (a.last == 0 || now < a.last) {
			a.last = now
		}
	case "hippius.compute.vm_silent":
		b.silences++
		return b.vms[vm.ID(e.Attr["vm"])].silence(now)
	case "hippius.marketplace.meter_dropped":
		b.forgiven[e.Attr["account"]] += number("units")
	case "hippius.credits.consumed":
		b.consumed(e.Attr["account"], e.Attr["miner"], number("ucredit"))
	case "hippius.credits.coin_fee": // who has run out of credits pays in coins
		b.consumed(e.Attr["account"], "", number("uhip"))
	}
	return nil
}

// comesUp reports whether a phase is one of a start.
func comesUp(phase string) bool {
	return phase == "provisioning" || phase == "running" || phase == "rebooting"
}

// consumed shares out: 60 % to the miner, 30 % to stakers, the rest to the
// treasury; without a miner its part is the stakers'. A credit is worth a HIP here.
func (b *book) consumed(account, miner string, ucredit uint64) {
	served, staked := ucredit*60/100, ucredit*30/100
	b.treasury += ucredit - served - staked
	if miner == "" {
		staked, served = staked+served, 0
	} else {
		b.served[account] += ucredit
	}
	b.miners += served
	b.stakers += staked
}

// due is what all VMs of an account may have cost, in ucredit·seconds per hour.
func (b *book) due(owner string, rates map[vm.ID]plan.Rates) uint64 {
	var sum uint64
	for _, id := range slices.Sorted(maps.Keys(b.vms)) {
		if a := b.vms[id]; a.owner == owner {
			sum += a.running*rates[id].Running + a.stopped*rates[id].Stopped
		}
	}
	return sum
}

// prices make a credit dear and short: minutes here are days elsewhere.
func prices() map[string]json.RawMessage {
	return map[string]json.RawMessage{"marketplace": json.RawMessage(`{"params":{
		"vcpu_hour_ucredit":"1000000","memory_gib_hour_ucredit":"250000","disk_gib_hour_ucredit":"12500",
		"min_create_ucredit":"0","holdback_seconds":"600","settle_interval_seconds":"120"}}`)}
}
