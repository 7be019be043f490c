package agent_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/agent/agenttest"
)

// A VM without data whose secrets no keeper gives is waited for some minutes, with the settings of a real agent, and then given back:
// else who deals what keepers drop holds the room. One with data stays.
func TestSecretsThatStayAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.config = agent.Config{ChainID: agenttest.ChainID, Miner: agenttest.Miner}
		w.chain.Every(6 * time.Second)
		w.startAgent()
		kept := w.newVM()
		w.until("running", func() bool { return w.runs(kept) })
		w.order(kept, vm.Stop)
		w.untilPhase(kept, vm.Stopped)

		w.keepers.set(errors.New("keeper val-1: it has no such deal"))
		w.order(kept, vm.Start)
		w.stopAgent() // what was opened is forgotten
		w.startAgent()
		id := w.newVM()
		failed := func(id vm.ID) bool { return w.chain.Saw(id, "failed "+agent.ReasonSecrets) }
		time.Sleep(3 * time.Minute)
		w.keepers.set(nil)
		w.until("both run", func() bool { return w.runs(id) && w.runs(kept) })
		w.order(kept, vm.Stop)
		w.untilPhase(kept, vm.Stopped)
		time.Sleep(time.Minute)
		w.keepers.set(errors.New("keeper val-1: it has no such deal"))
		w.order(kept, vm.Start)
		id = w.newVM()
		from := time.Now()
		for !failed(id) && time.Since(from) < 20*time.Minute {
			time.Sleep(time.Second)
		}
		if d := time.Since(from); d < 5*time.Minute || d > 6*time.Minute {
			t.Errorf("it was given back after %s", d)
		}
		time.Sleep(20 * time.Minute)
		if failed(kept) || w.chain.Phase(kept) != vm.Provisioning {
			t.Errorf("a VM with data is %s", w.chain.Phase(kept))
		}
	})
}
