package computetest

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/vm"
)

// What validators agree on has codes and no words, which a newer version may phrase differently.

// phrase is what a code never has.
var phrase = regexp.MustCompile(`[[:alpha:]]+[:,;]? [[:alpha:]]+`)

// wrong are reports of a running VM that the chain refuses, for different reasons.
func (w *world) wrong(id string) []computetypes.VMReport {
	reason, jump, unknown := w.says(id, vm.Running), w.says(id, vm.Terminated), w.says(id, vm.Running)
	reason.Reason = "what a stranger says"
	unknown.VmId = strings.Repeat("7", 32)
	return []computetypes.VMReport{reason, jump, unknown}
}

func TestAnswersHaveNoWords(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.running(w.tenant("tenant"), "web-1")
	r, err := w.Deliver(m, &computetypes.MsgReportVM{Miner: m.Address, Reports: append(w.wrong(id), w.says(id, vm.Running))})
	if err != nil {
		t.Fatal(err)
	}
	if words := phrase.FindAll(r.Data, -1); len(words) > 0 {
		t.Errorf("the answer has the words %q", words)
	}
}

// A batch of which nothing counts is a sign of life, as an empty one is, and leaves no other trace.
func TestBatchOfWhichNothingCounts(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.running(w.tenant("tenant"), "web-1")
	w.NextBlock(30)
	before := w.vm(id)
	results, err := w.try(m, w.wrong(id)...)
	if err != nil {
		t.Fatalf("the batch failed as a whole: %v", err)
	}
	for i, want := range []uint32{code(computetypes.ErrBadReport), code(computetypes.ErrBadTransition), code(computetypes.ErrUnknownVM)} {
		if results[i].Code != want {
			t.Errorf("answer %d: %+v, want code %d", i, results[i], want)
		}
	}
	if seen := w.registered(m).LastSeen; seen != w.Now() {
		t.Errorf("the miner was seen at %d, and it is %d", seen, w.Now())
	}
	if after := w.vm(id); !reflect.DeepEqual(before, after) {
		t.Errorf("what was\n%+v is\n%+v", before, after)
	}
	if ev := w.Events(computetypes.EventReported); len(ev) != 1 || ev[0][computetypes.AttributeRefused] != "3" {
		t.Errorf("events %v", ev)
	}
}

// The chain gives its reasons as codes.
func TestStatusHasNoWordsOfTheChain(t *testing.T) {
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	m := w.miner("miner0")
	silent := func(id string, p vm.Phase, reason string) {
		t.Helper()
		if v := w.is(id, p, reason); v.Status.Message != "" {
			t.Errorf("%s (%s): the chain stored %q", p, reason, v.Status.Message)
		}
	}
	parked := w.create(a, "parked", func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "titan" })
	silent(parked, vm.Pending, vm.ReasonNoCapacity)
	late := w.create(a, "late")
	once := w.create(a, "once", func(c *computetypes.MsgCreateVM) { c.Instances = c.Instances[:1] })
	w.alive(30, 10, m)
	silent(late, vm.Pending, vm.ReasonRetryWait)
	silent(once, vm.Pending, vm.ReasonSecretsNeeded)
	w.alive(300, 10, m)
	silent(late, vm.Failed, vm.ReasonAttempts)

	up := w.create(a, "up")
	w.alive(30, 10, m) // the only miner has failed the tenant
	w.boot(up)
	meter, err := w.market.Meter(w.Ctx(), &markettypes.QueryMeterRequest{Account: a.Address})
	if err != nil {
		t.Fatal(err)
	}
	w.leave(a, meter.HoldbackUcredit+100)
	for range 10 {
		if w.vm(up).Status.Phase.Core() != vm.Running {
			break
		}
		w.report(w.proven(w.says(up, vm.Running)))
		w.NextBlock(60)
	}
	silent(up, vm.Stopping, vm.ReasonCreditRunOut)
	silent(parked, vm.Failed, vm.ReasonCreditRunOut)
}

// What a miner says of a VM stays, as it said it.
func TestStatusHasTheMinersWords(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	id := w.running(w.tenant("tenant"), "web-1")
	r := w.says(id, vm.Failed)
	r.Reason, r.Message = "disk_broken", "the disk cannot be read"
	w.report(r)
	if v := w.is(id, vm.Failed, r.Reason); v.Status.Message != r.Message {
		t.Errorf("the miner said %q; stored is %q", r.Message, v.Status.Message)
	}
}
