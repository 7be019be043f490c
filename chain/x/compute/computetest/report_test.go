package computetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	errorsmod "cosmossdk.io/errors"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

func code(err *errorsmod.Error) uint32 { return err.ABCICode() }

func TestReportsAreJudgedOneByOne(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	idle := w.miner("miner1")
	a := w.tenant("tenant")
	id := w.running(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} })
	good := w.says(id, vm.Running)

	old, ahead, jump, gen, reboot, unknown := good, good, good, good, good, good
	old.InstanceSeq = 0
	ahead.InstanceSeq = 2
	jump.Phase = computetypes.PhaseOf(vm.Terminated)
	gen.ObservedGeneration = 2
	reboot.ObservedRebootSeq = 1
	unknown.VmId = fmt.Sprintf("%032x", 7)
	phase, reason, message, proof := good, good, good, good
	phase.Phase = computetypes.PhaseOf(vm.Lost)
	reason.Reason = "Because!"
	message.Message = "two\nlines"
	proof.Proof = &computetypes.ProofReport{Height: 3, Signature: []byte{1}}
	bad := []struct {
		r    computetypes.VMReport
		want *errorsmod.Error
	}{
		{old, computetypes.ErrOldInstance},
		{ahead, computetypes.ErrOldInstance},
		{jump, computetypes.ErrBadTransition},
		{gen, computetypes.ErrBadReport},
		{reboot, computetypes.ErrBadReport},
		{unknown, computetypes.ErrUnknownVM},
		{phase, computetypes.ErrBadReport},
		{reason, computetypes.ErrBadReport},
		{message, computetypes.ErrBadReport},
		{proof, computetypes.ErrBadReport},
	}
	batch := []computetypes.VMReport{}
	for _, b := range bad {
		if _, err := w.try(w.holder(id), b.r); !errors.Is(err, b.want) {
			t.Errorf("%+v alone: %v, want %v", b.r, err, b.want)
		}
		batch = append(batch, b.r)
	}
	if _, err := w.try(idle, good); !errors.Is(err, computetypes.ErrNotHolder) {
		t.Errorf("a miner that does not hold the VM: %v", err)
	}
	stopped := w.says(id, vm.Stopped)
	results, err := w.try(w.holder(id), append(batch, stopped)...)
	if err != nil || len(results) != len(batch)+1 {
		t.Fatalf("%+v, %v", results, err)
	}
	for i, b := range bad {
		if results[i].Code != code(b.want) || results[i].Codespace != computetypes.ModuleName || results[i].VmId != b.r.VmId {
			t.Errorf("answer %d: %+v, want code %d", i, results[i], code(b.want))
		}
	}
	if results[len(bad)].Code != 0 {
		t.Errorf("the good one: %+v", results[len(bad)])
	}
	w.is(id, vm.Stopped, vm.ReasonGuestShutdown)
	if ev := w.Events(computetypes.EventReported); len(ev) != 1 || ev[0][computetypes.AttributeRefused] != "10" {
		t.Errorf("events %v", ev)
	}
}

func TestOnlyRegisteredMinersReport(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	if _, err := w.try(apptest.Named("other")); !errors.Is(err, registrytypes.ErrUnknownMiner) {
		t.Fatal(err)
	}
	balance := func() uint64 {
		b, err := w.App.Keepers.Credits.Ucredit(w.Ctx(), m.Address)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	before := balance()
	w.NextBlock(60)
	if _, err := w.try(m); err != nil {
		t.Fatal(err)
	}
	if balance() != before || w.registered(m).LastSeen != w.Now() {
		t.Fatal("a batch cost a fee, or did not count as a sign of life")
	}
}

func TestProofs(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	m := w.holder(id)
	w.NextBlock(10)

	good := w.proven(w.says(id, vm.Running))
	forged := good
	forged.Proof = &computetypes.ProofReport{Height: good.Proof.Height, Signature: append([]byte{good.Proof.Signature[0] ^ 1}, good.Proof.Signature[1:]...)}
	future := good
	future.Proof = &computetypes.ProofReport{Height: good.Proof.Height + 100, Signature: good.Proof.Signature}
	wrongBlock := good
	wrongBlock.Proof = &computetypes.ProofReport{Height: good.Proof.Height - 1, Signature: good.Proof.Signature}
	for name, c := range map[string]struct {
		r    computetypes.VMReport
		want error
	}{"forged": {forged, computetypes.ErrBadProof}, "of the future": {future, computetypes.ErrStaleProof}, "of another block": {wrongBlock, computetypes.ErrBadProof}} {
		if _, err := w.try(m, c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.report(good)
	if _, err := w.try(m, good); !errors.Is(err, computetypes.ErrStaleProof) {
		t.Errorf("the same proof again: %v", err)
	}
	if got := w.billed(a); got != 10*spark {
		t.Fatalf("billed %d", got)
	}

	// A proof of a block 81 seconds old does not count, one of 80 does, and counts at the time of its block.
	old := w.proven(w.says(id, vm.Running))
	w.NextBlock(1)
	young := w.proven(w.says(id, vm.Running))
	w.NextBlock(80)
	if _, err := w.try(m, old); !errors.Is(err, computetypes.ErrStaleProof) {
		t.Errorf("an old proof: %v", err)
	}
	w.report(young)
	if got := w.billed(a); got != 11*spark {
		t.Fatalf("billed %d, want %d", got, 11*spark)
	}
	// A proof covers 80 seconds before it, of whatever gap.
	w.NextBlock(1)
	w.report(w.proven(w.says(id, vm.Running))) // 81 after the last
	if got := w.billed(a); got != 91*spark {
		t.Fatalf("billed %d, want %d", got, 91*spark)
	}
	w.NextBlock(80)
	w.report(w.proven(w.says(id, vm.Running)))
	if got := w.billed(a); got != 171*spark {
		t.Fatalf("billed %d, want %d", got, 171*spark)
	}
	// Silent for too long, a stop charges nothing since the last proof.
	w.NextBlock(81)
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	if got := w.billed(a); got != 171*spark {
		t.Fatalf("billed %d, want %d", got, 171*spark)
	}
}

func TestHeadIsTheNewestBlock(t *testing.T) {
	w := newWorld(t, nil)
	w.Run(300, 1)
	r, err := w.compute.Head(w.Ctx(), &computetypes.QueryHeadRequest{})
	if err != nil || r.Head.Height != w.Height() || r.Head.Time != w.Now() || string(r.Head.Hash) != string(apptest.BlockHash(w.Height())) {
		t.Fatalf("%+v, %v", r, err)
	}
}

// The gas of a full batch must fit a transaction: 256 reports, each with a proof.
func TestGasOfReports(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	m := w.holder(id)
	gas := func(n int) int64 {
		w.NextBlock(30)
		r := w.MustDeliver(m, &computetypes.MsgReportVM{Miner: m.Address, Reports: slices.Repeat([]computetypes.VMReport{w.says(id, vm.Running)}, n)})
		return r.GasUsed
	}
	one, many := gas(1), gas(64)
	each := (many - one) / 63
	w.NextBlock(30)
	proven := w.MustDeliver(m, &computetypes.MsgReportVM{Miner: m.Address, Reports: []computetypes.VMReport{w.proven(w.says(id, vm.Running))}}).GasUsed
	t.Logf("gas: %d for a batch of one, %d with a proof, %d for each further report", one, proven, each)
	if 256*(each+proven-one)+one > 50_000_000 {
		t.Errorf("256 reports take %d gas", 256*(each+proven-one)+one)
	}
}
