package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/chain/app/apptest"
	corevm "github.com/hippius/compute/core/vm"
)

// gap is the longest time between two proofs that is charged, in seconds; also
// how old a proof may be.
const gap = 80

// book is kept beside the chain's own: from what was sent and taken it reckons
// anew what every machine may be charged, and who gets it.
type book struct {
	guests *guests
	times  map[int64]int64 // of blocks
	vms    map[string]*account
	// forgiven to an account, in ucredit·seconds per hour: what its balance could not pay.
	forgiven map[string]uint64
	// served is what an account was charged for service, in ucredit.
	served map[string]uint64
	// released to miners, to stakers and to the treasury, in uhip.
	miners, stakers, treasury uint64

	proofs, runOuts, moves int
}

// account is one machine's.
type account struct {
	owner            string
	phase            string
	last             int64 // attested up to; 0 for not
	disk             bool  // only the disk
	running, stopped uint64
}

func newBook(g *guests) *book {
	return &book{guests: g, times: map[int64]int64{}, vms: map[string]*account{}, forgiven: map[string]uint64{}, served: map[string]uint64{}}
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
		if e.Attr["reason"] == corevm.ReasonCreditRunOut {
			until = now
			b.runOuts++
		}
		if err := b.event(e, until); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) transaction(now int64, d apptest.Done) error {
	report, err := reportIn(d.Raw)
	if err != nil {
		return err
	}
	until := now // what a tenant ends was alive until then, if it was shortly before
	if report != nil {
		until = 0
	}
	for _, e := range d.Events {
		if err := b.event(e, until); err != nil {
			return err
		}
	}
	if report == nil || d.Code != 0 {
		return nil
	}
	results, err := answers(d.Data)
	if err != nil {
		return err
	}
	for i, r := range report.GetReports() {
		if results[i].GetCode() != 0 {
			continue
		}
		if err := b.taken(now, r); err != nil {
			return fmt.Errorf("VM %.6s: %w", r.GetVmId(), err)
		}
	}
	return nil
}

// taken is a report that the chain accepted; what phase it led to is known.
func (b *book) taken(now int64, r *computev1.VMReport) error {
	a := b.vms[r.GetVmId()]
	switch {
	case a.phase == "running" || a.phase == "rebooting":
		p := r.GetProof()
		if p == nil {
			return nil
		}
		if !b.guests.did(signed{r.GetVmId(), r.GetInstanceSeq(), p.GetHeight()}) {
			return fmt.Errorf("a proof of block %d by instance %d was taken that no guest signed", p.GetHeight(), r.GetInstanceSeq())
		}
		at := b.times[p.GetHeight()]
		if at == 0 || now-at > gap {
			return fmt.Errorf("a proof of block %d, %d s old, was taken", p.GetHeight(), now-at)
		}
		b.proofs++
		b.attest(a, at)
		a.disk = false
	case a.phase == "stopped" && r.GetPhase() == computev1.Phase_PHASE_STOPPED:
		if a.disk {
			b.attest(a, now)
		}
		a.last, a.disk = now, true
	}
	return nil
}

// attest charges up to a moment what is close enough to the last.
func (b *book) attest(a *account, at int64) {
	if a.last != 0 && at > a.last && at-a.last <= gap {
		if a.disk {
			a.stopped += uint64(at - a.last)
		} else {
			a.running += uint64(at - a.last)
		}
	}
	a.last = max(a.last, at)
}

// event is one of the chain's; until is when what ends with it was last alive.
func (b *book) event(e apptest.Event, until int64) error {
	number := func(name string) uint64 {
		n, _ := strconv.ParseUint(e.Attr[name], 10, 64) // what is not there is 0
		return n
	}
	switch e.Kind {
	case "hippius.compute.vm_created":
		b.vms[e.Attr["vm"]] = &account{owner: e.Attr["owner"], phase: e.Attr["phase"]}
	case "hippius.compute.vm_assigned":
		b.moves++
	case "hippius.compute.vm_phase":
		a := b.vms[e.Attr["vm"]]
		if a == nil || a.phase != e.Attr["from"] {
			return fmt.Errorf("VM %.6s came to %s from %s, where it was not", e.Attr["vm"], e.Attr["phase"], e.Attr["from"])
		}
		from, to := a.phase, e.Attr["phase"]
		a.phase = to
		if from == "running" && to == "rebooting" || from == "rebooting" && to == "running" {
			return nil
		}
		if until != 0 {
			b.attest(a, until)
		}
		a.last, a.disk = 0, false
	case "hippius.marketplace.meter_dropped":
		b.forgiven[e.Attr["account"]] += number("units") + 3600*number("ucredit")
	case "hippius.credits.consumed":
		b.consumed(e.Attr["account"], e.Attr["miner"], number("ucredit"))
	}
	return nil
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

// due is what all machines of an account may have cost, in ucredit·seconds per hour.
func (b *book) due(owner string, rates map[string][2]uint64) uint64 {
	var sum uint64
	for _, id := range slices.Sorted(maps.Keys(b.vms)) {
		if a := b.vms[id]; a.owner == owner {
			sum += a.running*rates[id][0] + a.stopped*rates[id][1]
		}
	}
	return sum
}

// reportIn is the miner's batch that a transaction carries, or nil.
func reportIn(raw []byte) (*computev1.MsgReportVM, error) {
	var tx txv1beta1.TxRaw
	var body txv1beta1.TxBody
	if err := proto.Unmarshal(raw, &tx); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(tx.GetBodyBytes(), &body); err != nil {
		return nil, err
	}
	for _, packed := range body.GetMessages() {
		var m computev1.MsgReportVM
		if packed.GetTypeUrl() == "/"+string(m.ProtoReflect().Descriptor().FullName()) {
			return &m, proto.Unmarshal(packed.GetValue(), &m)
		}
	}
	return nil, nil //nolint:nilnil // most carry none
}

func answers(data []byte) ([]*computev1.ReportResult, error) {
	var all abciv1beta1.TxMsgData
	var r computev1.MsgReportVMResponse
	if err := proto.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	if len(all.GetMsgResponses()) != 1 {
		return nil, fmt.Errorf("%d answers to one batch", len(all.GetMsgResponses()))
	}
	err := proto.Unmarshal(all.GetMsgResponses()[0].GetValue(), &r)
	return r.GetResults(), err
}

// prices make a credit dear and short: minutes here are days elsewhere.
func prices() map[string]json.RawMessage {
	return map[string]json.RawMessage{"marketplace": json.RawMessage(`{"params":{
		"vcpu_hour_ucredit":"1000000","memory_gib_hour_ucredit":"250000","disk_gib_hour_ucredit":"12500",
		"min_create_ucredit":"0","holdback_seconds":"600","settle_interval_seconds":"120"}}`)}
}
