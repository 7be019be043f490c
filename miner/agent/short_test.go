package agent_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
)

// paced takes no news that a VM runs, as if all of it waited for the pace of reports, unless it comes with the news that it is off.
type paced struct {
	agent.Chain
	told chan struct{}
}

func (c paced) Report(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	is := func(p vm.Phase) bool {
		return slices.ContainsFunc(reports, func(r vm.Report) bool { return r.Phase == p })
	}
	if is(vm.Running) && !is(vm.Stopped) {
		select {
		case c.told <- struct{}{}:
		default:
		}
		return nil, errors.New("no node answers")
	}
	return c.Chain.Report(ctx, reports)
}

// A guest that proved itself and powered off before its miner could report it has run: the chain is told so before it is told that the
// VM is off, else it has it run again elsewhere.
func TestShortJobIsToldOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode      vm.AgentMode
		meanwhile func(w *world)
	}{
		"proven":                     {mode: vm.AgentGuest},
		"without an agent":           {mode: vm.AgentNone},
		"its agent is started anew":  {vm.AgentGuest, func(w *world) { w.stopAgent() }},
		"started anew, and no agent": {vm.AgentNone, func(w *world) { w.stopAgent() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			told := make(chan struct{}, 1)
			w.parts = func(p *agent.Parts) { p.Chain = paced{p.Chain, told} }
			id := w.newVM()
			w.chain.Change(id, func(v *vm.VM) { v.Spec.Agent = c.mode })
			w.startAgent()
			<-told
			if c.meanwhile != nil {
				c.meanwhile(w)
			}
			if err := w.driver.PowerOff(id); err != nil {
				t.Fatal(err)
			}
			if c.meanwhile != nil {
				w.startAgent()
			}
			w.untilPhase(id, vm.Stopped)
			v := w.chain.Get(id)
			if !v.Status.HasData || v.Status.Reason != vm.ReasonGuestShutdown || c.mode != vm.AgentNone && w.chain.Proven(id) == 0 {
				t.Errorf("it has data: %v, is stopped for %q, and gave %d proofs", v.Status.HasData, v.Status.Reason, w.chain.Proven(id))
			}
			w.heard(id)
			if has, err := w.driver.HasDisk(t.Context(), hypervisor.Root(id)); err != nil || !has {
				t.Errorf("it has its disk: %v, %v", has, err)
			}
		})
	}
}
