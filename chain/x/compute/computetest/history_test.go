package computetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// Whatever tenants wish, miners report, lose or leave out, the laws of every
// module hold after each block, an account's rate is the sum of its VMs', it is
// billed what was attested, and in the end everything can be terminated.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, 9))) })
	}
}

type story struct {
	*world
	rnd    *rand.Rand
	miners []apptest.Account
	owners []apptest.Account
	vms    []string
	of     map[string]apptest.Account
}

func history(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	s := &story{world: newWorld(t, nil), rnd: rnd, of: map[string]apptest.Account{}}
	for i := range 3 {
		s.miners = append(s.miners, s.miner(fmt.Sprintf("miner%d", i), small(3)))
	}
	s.owners = []apptest.Account{s.tenant("tenant"), s.tenant("other")}
	for range 150 {
		s.turn()
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
}

func (s *story) turn() {
	switch n := s.rnd.IntN(10); {
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
	case n == 4:
		_ = s.App.Keepers.Compute.AfterRunOut(s.Ctx(), s.owners[s.rnd.IntN(2)].Address)
		s.NextBlock(1)
	default:
		s.batch()
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
		evs := vm.Allowed(v.State(), vm.Miner)
		if len(evs) == 0 {
			continue
		}
		r := s.says(id, vm.Running)
		for _, p := range vm.Phases() {
			if ev, ok := vm.ReportOf(p); ok && ev == evs[s.rnd.IntN(len(evs))] {
				r = s.says(id, p)
			}
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
		reports = append(reports, r)
	}
	s.NextBlock(s.rnd.Int64N(40))
	if _, err := s.try(m, reports...); err != nil && testing.Verbose() {
		s.t.Logf("%s: %v", s, err)
	}
}

// check compares what VMs cost and were attested with what their owners' meters say.
func (s *story) check() {
	s.t.Helper()
	for _, a := range s.owners {
		var rate, units uint64
		for _, id := range s.vms {
			v := s.vm(id)
			if v.Owner != a.Address {
				continue
			}
			rate += v.Rate()
			units += v.Status.Attestation.RunningSeconds*v.RunningRate + v.Status.Attestation.StoppedSeconds*v.StoppedRate
		}
		if got := s.rate(a); got != rate {
			s.t.Fatalf("%s: %s pays %d an hour, its VMs cost %d", s, a.Name, got, rate)
		}
		if got := s.billed(a); got != units {
			s.t.Fatalf("%s: %s is billed %d units, %d were attested", s, a.Name, got, units)
		}
	}
}
