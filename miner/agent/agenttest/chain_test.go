package agenttest_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/agent/agenttest"
	"github.com/hippius/compute/miner/agent/chaintest"
)

func TestChain(t *testing.T) {
	t.Parallel()
	chaintest.Run(t, open)
}

func open(t *testing.T) *chaintest.Harness {
	t.Helper()
	c := agenttest.New()
	ctx, cancel := context.WithCancel(t.Context())
	var blocks sync.WaitGroup
	blocks.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); blocks.Wait() })
	created := 0
	return &chaintest.Harness{
		Chain: c, ChainID: agenttest.ChainID, Miner: agenttest.Miner,
		Create: func(t *testing.T, mode vm.AgentMode) vm.ID {
			t.Helper()
			created++
			id := vm.ID(fmt.Sprintf("%032x", created))
			var keys []ed25519.PublicKey
			for seq := uint32(1); seq <= chaintest.Instances; seq++ {
				keys = append(keys, ed25519.PublicKey(chaintest.GuestKey(id, seq)[ed25519.SeedSize:]))
			}
			c.Create(id, "hip1tenant", vm.Spec{Name: "web", Plan: "spark", Image: "tiny", Agent: mode, On: true}, []string{"ssh-ed25519 AAAA laptop"}, keys...)
			return id
		},
		Order: func(t *testing.T, id vm.ID, ev vm.Event) {
			t.Helper()
			testkit.Check(t, c.Order(id, ev))
		},
		Resize: func(t *testing.T, id vm.ID, restart bool) {
			t.Helper()
			size := c.Get(id).Size
			size.DiskGiB += 8
			if restart {
				size.VCPUs++
			}
			testkit.Check(t, c.Resize(id, size, restart))
		},
		Pass:   func(_ *testing.T, d time.Duration) { time.Sleep(d) },
		Forget: func(*testing.T) { c.ForgetReleases() },
	}
}
