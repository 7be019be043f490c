package computetest

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

// TestForgedReports: nobody speaks for another miner, another VM or another
// time, and nothing of what he says is charged.
func TestForgedReports(t *testing.T) {
	w := newWorld(t, nil)
	honest, thief := w.miner("miner0"), w.miner("miner1")
	a, b := w.tenant("tenant"), w.tenant("other")
	on := func(m apptest.Account) func(*computetypes.MsgCreateVM) {
		return func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} }
	}
	id := w.running(a, "web-1", on(honest))
	own := w.running(b, "web-1", on(thief))
	w.NextBlock(10)

	report := func(r computetypes.VMReport) *computetypes.MsgReportVM {
		return &computetypes.MsgReportVM{Miner: honest.Address, Reports: []computetypes.VMReport{r}}
	}
	with := func(r computetypes.VMReport, change func(*computetypes.VMReport)) computetypes.VMReport {
		p := *r.Proof
		p.Signature = bytes.Clone(p.Signature)
		r.Proof = &p
		change(&r)
		return r
	}
	good := w.proven(w.says(id, vm.Running))
	theirs := w.proven(w.says(own, vm.Running))
	h := w.Height()
	sign := func(name, chain, vmID string, seq uint32, height int64, hash []byte) *computetypes.ProofReport {
		return &computetypes.ProofReport{Height: height, Signature: vm.SignProof(key(name), chain, vm.ID(vmID), seq, height, hash)}
	}
	guest := guestName(id, 1)
	before := w.billed(a)
	status := w.vm(id).Status

	// Said by another miner, in his own name and in the honest one's.
	if _, err := w.try(thief, good); !errors.Is(err, computetypes.ErrNotHolder) {
		t.Errorf("by another miner: %v", err)
	}
	if _, err := w.Deliver(thief, report(good)); !errors.Is(err, sdkerrors.ErrInvalidPubKey) && !errors.Is(err, sdkerrors.ErrUnauthorized) {
		t.Errorf("signed by another miner: %v", err)
	}
	// A signature that was seen passing by, under another report.
	seen := w.Sign(honest, report(w.says(id, vm.Stopped)))
	forged := bytes.Replace(seen, []byte(id), []byte(own), 1)
	if results, err := w.DeliverAll(forged); err != nil || !errors.Is(apptest.Outcome(results[0]), sdkerrors.ErrUnauthorized) {
		t.Errorf("a changed report under its signature: %v, %v", err, apptest.Outcome(results[0]))
	}

	// Said by the holder, of what is not so. Each is refused for its own reason.
	w.NextBlock(10)
	for name, c := range map[string]struct {
		r    computetypes.VMReport
		want error
	}{
		"another VM's proof": {with(good, func(r *computetypes.VMReport) { r.Proof = theirs.Proof }), computetypes.ErrBadProof},
		"another guest's key": {with(good, func(r *computetypes.VMReport) {
			r.Proof = sign(guestName(own, 1), apptest.ChainID, id, 1, h, apptest.BlockHash(h))
		}), computetypes.ErrBadProof},
		"of the next instance": {with(good, func(r *computetypes.VMReport) {
			r.Proof = sign(guestName(id, 2), apptest.ChainID, id, 2, h, apptest.BlockHash(h))
		}), computetypes.ErrBadProof},
		"for another instance": {with(good, func(r *computetypes.VMReport) { r.Proof = sign(guest, apptest.ChainID, id, 2, h, apptest.BlockHash(h)) }), computetypes.ErrBadProof},
		"for another chain":    {with(good, func(r *computetypes.VMReport) { r.Proof = sign(guest, "hippius-1", id, 1, h, apptest.BlockHash(h)) }), computetypes.ErrBadProof},
		"over another block": {with(good, func(r *computetypes.VMReport) {
			r.Proof = sign(guest, apptest.ChainID, id, 1, h, apptest.BlockHash(h+1))
		}), computetypes.ErrBadProof},
		"of a block to come": {with(good, func(r *computetypes.VMReport) {
			r.Proof = sign(guest, apptest.ChainID, id, 1, h+50, apptest.BlockHash(h+50))
		}), computetypes.ErrStaleProof},
		"of the end of times": {with(good, func(r *computetypes.VMReport) {
			r.Proof = sign(guest, apptest.ChainID, id, 1, 1<<62, apptest.BlockHash(1))
		}), computetypes.ErrStaleProof},
		"an earlier instance":   {with(good, func(r *computetypes.VMReport) { r.InstanceSeq = 0 }), computetypes.ErrOldInstance},
		"a later instance":      {with(good, func(r *computetypes.VMReport) { r.InstanceSeq = 2 }), computetypes.ErrOldInstance},
		"a generation to come":  {with(good, func(r *computetypes.VMReport) { r.ObservedGeneration++ }), computetypes.ErrBadReport},
		"a reboot to come":      {with(good, func(r *computetypes.VMReport) { r.ObservedRebootSeq++ }), computetypes.ErrBadReport},
		"a size to come":        {with(good, func(r *computetypes.VMReport) { r.SizeGeneration = r.ObservedGeneration + 1 }), computetypes.ErrBadReport},
		"another miner's VM":    {theirs, computetypes.ErrNotHolder},
		"a VM that is not":      {with(good, func(r *computetypes.VMReport) { r.VmId = "00112233445566778899aabbccddeeff" }), computetypes.ErrUnknownVM},
		"that it is no longer":  {with(good, func(r *computetypes.VMReport) { r.Phase = computetypes.PhaseOf(vm.Terminated) }), computetypes.ErrBadTransition},
		"that the chain failed": {with(good, func(r *computetypes.VMReport) { r.Phase = computetypes.PhaseOf(vm.Lost) }), computetypes.ErrBadReport},
	} {
		if _, err := w.try(honest, c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	after := w.vm(id).Status
	if w.billed(a) != before || !reflect.DeepEqual(after, status) {
		t.Fatalf("a forged report had an effect: billed %d and %d, %+v became %+v", before, w.billed(a), status, after)
	}

	// What is good counts once: not in a second report, nor when the transaction is sent again.
	raw := w.Sign(honest, report(good))
	results, err := w.DeliverAll(raw)
	if err != nil || apptest.Outcome(results[0]) != nil {
		t.Fatalf("the good one: %v, %v", err, apptest.Outcome(results[0]))
	}
	once := w.billed(a)
	if once == before {
		t.Fatal("the good one was not charged")
	}
	if results, err = w.DeliverAll(raw); err != nil || !errors.Is(apptest.Outcome(results[0]), sdkerrors.ErrWrongSequence) && !errors.Is(apptest.Outcome(results[0]), sdkerrors.ErrUnauthorized) {
		t.Errorf("the transaction again: %v, %v", err, apptest.Outcome(results[0]))
	}
	if _, err := w.try(honest, good); !errors.Is(err, computetypes.ErrStaleProof) {
		t.Errorf("the proof again: %v", err)
	}
	if w.billed(a) != once {
		t.Errorf("charged %d for what was worth %d", w.billed(a), once)
	}
}
