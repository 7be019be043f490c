package computetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// Whatever tenants wish, miners report, lose or leave out, the invariants of every
// module hold after each block, an account's rate is the sum of its VMs', it is
// billed what was attested, and in the end everything can be terminated.
func TestRandomHistories(t *testing.T) {
	resized := 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { resized += history(t, rand.New(rand.NewPCG(seed, 9))) })
	}
	if resized == 0 {
		t.Error("no resize ever came into effect")
	}
}

type story struct {
	*world
	rnd    *rand.Rand
	miners []apptest.Account
	owners []apptest.Account
	vms    []string
	of     map[string]apptest.Account
	// disks are the largest seen, resized those that ever had another price.
	disks   map[string]uint64
	resized map[string]bool
	// keys counts those that came in place of another; they have dice of their own.
	keys   int
	keyRnd *rand.Rand
}

// history gives the number of VMs that were seen with another price than their first.
func history(t *testing.T, rnd *rand.Rand) int {
	t.Helper()
	s := &story{
		world: newWorld(t, nil, roomy), rnd: rnd, keyRnd: rand.New(rand.NewPCG(7, 9)),
		of: map[string]apptest.Account{}, disks: map[string]uint64{}, resized: map[string]bool{},
	}
	for i := range 3 {
		s.miners = append(s.miners, s.miner(fmt.Sprintf("miner%d", i), small(4)))
	}
	s.owners = []apptest.Account{s.tenant("tenant"), s.tenant("other")}
	for range 150 {
		s.turn()
		if s.keyRnd.IntN(20) == 0 {
			s.changeKey(s.owners[s.keyRnd.IntN(2)])
		}
		s.check()
	}
	for _, id := range s.vms {
		if !s.vm(id).Ended() {
			s.MustDeliver(s.of[id], &computetypes.MsgTerminateVM{Owner: s.of[id].Address, VmId: id})
		}
		if s.vm(id).Status.Phase.Core() == vm.Terminating {
			s.report(s.says(id, vm.Terminated))
		}
		s.is(id, vm.Terminated, s.vm(id).Status.Reason)
	}
	for _, m := range s.miners {
		if u := s.registered(m).Usage; u != (registrytypes.Usage{}) {
			t.Fatalf("%s is still used: %+v", m.Name, u)
		}
	}
	s.check()
	return len(s.resized)
}

func (s *story) turn() {
	switch n := s.rnd.IntN(16); {
	case n == 0 && len(s.vms) < 14:
		owner := s.owners[s.rnd.IntN(2)]
		id := s.create(owner, fmt.Sprint("vm-", len(s.vms)), func(c *computetypes.MsgCreateVM) {
			c.Spec.Priority = s.rnd.Uint32N(5)
			if s.rnd.IntN(3) == 0 {
				c.Spec.SpreadGroup = "g"
			}
			if s.rnd.IntN(4) == 0 {
				c.Spec.Agent = computetypes.AgentMode_AGENT_MODE_NONE
			}
		})
		s.vms, s.of[id] = append(s.vms, id), owner
	case n == 1 && len(s.vms) > 0:
		s.wish(s.vms[s.rnd.IntN(len(s.vms))])
	case n == 2:
		m := s.miners[s.rnd.IntN(len(s.miners))]
		// Refused as often as not: that must change nothing either.
		_, _ = s.Deliver(m, &registrytypes.MsgDrainMiner{Operator: m.Address, Undo: s.rnd.IntN(2) == 0})
	case n == 3:
		s.NextBlock(s.rnd.Int64N(90))
	case n == 4 && s.rnd.IntN(4) == 0:
		_ = s.App.Keepers.Compute.AfterRunOut(s.Ctx(), s.owners[s.rnd.IntN(2)].Address)
		s.NextBlock(1)
	case n >= 14 && len(s.vms) > 0:
		s.reshape(s.fit())
	default:
		s.batch()
	}
}

// changeKey takes an account its key, which some VMs go on with, and gives it another.
func (s *story) changeKey(a apptest.Account) {
	s.removed(a, "laptop")
	s.keys++
	s.addKey(a, "laptop", fmt.Sprint("key", s.keys))
}

// fit is a VM that can be resized, if one is found in a few tries.
func (s *story) fit() (id string) {
	for range 10 {
		id = s.vms[s.rnd.IntN(len(s.vms))]
		if p := s.vm(id).Status.Phase.Core(); p == vm.Running || p == vm.Stopped {
			break
		}
	}
	return id
}

// reshape asks for another size, or for another disk.
func (s *story) reshape(id string) {
	a, plans := s.of[id], []string{"spark", "roomy", "pulse", "cipher"}
	var err error
	if n := s.rnd.IntN(len(plans) + 1); n < len(plans) {
		_, err = s.Deliver(a, &computetypes.MsgResizeVM{Owner: a.Address, VmId: id, Plan: plans[n]})
	} else {
		m := rebuild(a, id, "debian-12")
		if s.keyRnd.IntN(2) == 0 {
			m.SshKeys = []string{"laptop"}
		}
		_, err = s.Deliver(a, m)
	}
	if err != nil && testing.Verbose() {
		s.t.Logf("%s: %v", s, err)
	}
}

// wish is a tenant's, whether it fits the phase or not.
func (s *story) wish(id string) {
	a := s.of[id]
	var err error
	switch s.rnd.IntN(8) {
	case 0, 1, 2:
		_, err = s.Deliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: id})
	case 3, 4:
		_, err = s.Deliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: id})
	case 5:
		_, err = s.Deliver(a, &computetypes.MsgRebootVM{Owner: a.Address, VmId: id})
	case 6:
		_, err = s.Deliver(a, &computetypes.MsgRenameVM{Owner: a.Address, VmId: id, Name: fmt.Sprint("new-", s.rnd.IntN(20))})
	case 7:
		_, err = s.Deliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	}
	if err != nil && testing.Verbose() {
		s.t.Logf("%s: %v", s, err)
	}
}

// batch lets one miner report on what it holds, mostly what may follow, sometimes nonsense.
func (s *story) batch() {
	m := s.miners[s.rnd.IntN(len(s.miners))]
	var reports []computetypes.VMReport
	for _, id := range s.vms {
		v := s.vm(id)
		if v.Status.Miner != m.Address || s.rnd.IntN(4) == 0 {
			continue
		}
		evs := vm.Allowed(v.Core().State(), vm.Miner)
		if len(evs) == 0 {
			continue
		}
		r := s.says(id, vm.Running)
		for _, p := range vm.Phases() {
			if ev, ok := vm.ReportOf(p); ok && ev == evs[s.rnd.IntN(len(evs))] {
				r = s.says(id, p)
			}
		}
		if slices.Contains(evs, vm.ReportRunning) && s.rnd.IntN(2) == 0 {
			r = s.says(id, vm.Running) // as they mostly do
		}
		if r.Phase.Core() == vm.Failed && s.rnd.IntN(4) != 0 {
			continue
		}
		if r.Phase.Core() == vm.Running && s.rnd.IntN(5) != 0 {
			r = s.proven(r)
		}
		if s.rnd.IntN(15) == 0 {
			r.InstanceSeq++
		}
		if s.rnd.IntN(3) == 0 {
			r.SizeGeneration = s.rnd.Uint64N(r.SizeGeneration + 1) // what was ordered is not in effect yet
		}
		reports = append(reports, r)
	}
	s.NextBlock(s.rnd.Int64N(40))
	if _, err := s.try(m, reports...); err != nil && testing.Verbose() {
		s.t.Logf("%s: %v", s, err)
	}
}

// checkSize wants the disk never smaller than it was, and until it was resized
// for the first time a charge of rate times seconds.
func (s *story) checkSize(v computetypes.VM) {
	s.t.Helper()
	disk := v.Size_.DiskGib
	if disk < s.disks[v.Id] {
		s.t.Fatalf("%s: the disk of %s shrank from %d GiB to %d", s, v.Spec.Name, s.disks[v.Id], disk)
	}
	s.disks[v.Id] = disk
	a := v.Status.Attestation
	if v.RunningRate == spark && v.StoppedRate == sparkHD && !s.resized[v.Id] {
		if want := a.RunningSeconds*spark + a.StoppedSeconds*sparkHD; a.Core().Charged() != want {
			s.t.Fatalf("%s: %s was charged %d units, attested are %d", s, v.Spec.Name, a.Core().Charged(), want)
		}
		return
	}
	s.resized[v.Id] = true
}

// check compares what VMs cost and were attested with what their owners' meters say.
func (s *story) check() {
	s.t.Helper()
	for _, a := range s.owners {
		var rate, units, held uint64
		for _, id := range s.vms {
			v := s.vm(id)
			if v.Owner != a.Address {
				continue
			}
			rate += v.Core().Rate()
			units += v.Status.Attestation.Core().Charged()
			if !v.Ended() {
				held += v.Core().HeldRate()
			}
			s.checkSize(v)
		}
		if r, err := s.market.Meter(s.Ctx(), &markettypes.QueryMeterRequest{Account: a.Address}); err != nil || r.Meter.DiskRate != held {
			s.t.Fatalf("%s: %s has a hold-back for %d an hour, its disks cost %d; %v", s, a.Name, r.Meter.DiskRate, held, err)
		}
		if got := s.rate(a); got != rate {
			s.t.Fatalf("%s: %s pays %d an hour, its VMs cost %d", s, a.Name, got, rate)
		}
		if got := s.billed(a); got != units {
			s.t.Fatalf("%s: %s is billed %d units, %d were attested", s, a.Name, got, units)
		}
	}
}
