package agent

import (
	"context"
	"fmt"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/step"
)

// keepTidy looks for what is left of VMs that are gone, at the start and now
// and then.
func (a *Agent) keepTidy(ctx context.Context) error {
	// Until the chain was heard nothing can be judged.
	for a.followed.Load() == 0 && sleep(ctx, a.c.Poll) {
		continue
	}
	for next := time.Now(); ctx.Err() == nil; {
		a.takeOrders(ctx)
		if !time.Now().Before(next) {
			a.tidy(ctx)
			next = time.Now().Add(a.c.TidyEvery)
		}
		if !sleep(ctx, min(a.c.TidyEvery, ordersEvery)) {
			return nil
		}
	}
	return nil
}

func (a *Agent) tidy(ctx context.Context) {
	records, err := a.State.All()
	if err != nil {
		a.Log.Error("clean up", "error", err)
		return
	}
	known, images := map[vm.ID]bool{}, map[string]bool{}
	for _, r := range records {
		known[r.VM.ID] = true
		if r.Local.Built != nil {
			images[r.Local.Built.Image] = true
		}
	}
	a.tidyDomains(ctx, known)
	a.tidySeeds(ctx, known)
	before := a.keepingTime().Add(-hypervisor.TrashPeriod)
	if err := a.tidyTrash(ctx, before); err != nil {
		a.Log.Warn("sweep trash", "error", err)
	}
	// What disks are made over is asked of the disks: they know it though the database was lost, and trashed ones need
	// their images as long as they may be restored.
	bases, err := a.Driver.BaseImages(ctx)
	if err != nil {
		a.Log.Warn("list base images", "error", err)
		return
	}
	for _, base := range bases {
		images[image.SumOf(base)] = true
	}
	if _, err := a.Images.Trim(func(sum string) bool { return images[sum] }, before.Add(-time.Hour)); err != nil {
		a.Log.Warn("trim images", "error", err)
	}
}

// keepingTime is now, for what is to be kept for a while: the chain's time if this host's clock is ahead of it.
func (a *Agent) keepingTime() time.Time {
	now := time.Now()
	if h := a.head.Load(); h != nil && h.Time > 0 && now.Unix() > h.Time {
		return time.Unix(h.Time, 0)
	}
	return now
}

// tidyDomains removes domains which are not in the store and which every
// endpoint of the chain says are not ours. Others it leaves alone.
func (a *Agent) tidyDomains(ctx context.Context, known map[vm.ID]bool) {
	domains, err := a.Driver.List(ctx)
	if err != nil {
		a.Log.Warn("list domains", "error", err)
		return
	}
	for _, m := range domains {
		id := m.ID
		if known[id] {
			continue
		}
		if err := a.tidyDomain(ctx, m); err != nil && !a.unknownDomains[id] {
			a.unknownDomains[id] = true // only this goroutine looks
			a.Log.Warn("domain without a VM is kept; 'hippius-miner forget' removes one of which the chain knows nothing", "vm_id", id, "state", string(m.State), "error", err)
		}
	}
}

// tidyDomain removes a domain that is not in the store, if it may be removed.
func (a *Agent) tidyDomain(ctx context.Context, m hypervisor.Info) error {
	id := m.ID
	if err := a.mayRemove(ctx, id, m); err != nil {
		return err
	}
	a.Log.Info("domain belongs to no VM of this miner", "vm_id", id)
	if err := a.dismantle(ctx, a.vmState(id), id); err != nil {
		return fmt.Errorf("remove domain: %w", err)
	}
	a.forgetVM(id)
	return a.forget(id)
}

// tidySeeds removes seeds of VMs nobody knows: they hold secrets.
func (a *Agent) tidySeeds(ctx context.Context, known map[vm.ID]bool) {
	seeds, err := a.Seeds.List()
	if err != nil {
		a.Log.Warn("list seeds", "error", err)
		return
	}
	for _, id := range seeds {
		if known[id] {
			continue
		}
		// A domain that is left alone keeps its seed.
		if info, err := a.Driver.Inspect(ctx, id); err != nil || info.State != hypervisor.StateAbsent {
			continue
		}
		if err := a.Seeds.Remove(id); err != nil {
			a.Log.Warn("remove seed", "vm_id", id, "error", err)
		}
		if err := fault.Point("agent.tidied_seed"); err != nil {
			return
		}
	}
}

// keepMeshes looks at lighthouses and revocations of the owners here; channels
// pass on what changed.
func (a *Agent) keepMeshes(ctx context.Context) error {
	for {
		records, err := a.State.All()
		if err != nil {
			return err
		}
		owners := map[string]bool{}
		for _, r := range records {
			if r.Desired().Direction() == step.Up {
				owners[r.VM.Owner] = true
			}
		}
		a.lookAtMeshes(ctx, owners)
		if !sleep(ctx, a.c.MeshEvery) {
			return nil
		}
	}
}

func (a *Agent) lookAtMeshes(ctx context.Context, owners map[string]bool) {
	for owner := range owners {
		m, err := a.Mesh.View(ctx, owner)
		if err != nil {
			if ctx.Err() == nil {
				a.Log.Warn("look at mesh", "account", owner, "error", err)
			}
			continue
		}
		a.setMesh(owner, &m)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for owner := range a.meshes {
		if !owners[owner] {
			delete(a.meshes, owner)
		}
	}
}

// meshNow is what to put on a seed: what was seen last, or is seen now. A guest
// that boots without hears of it over its channel.
func (a *Agent) meshNow(ctx context.Context, owner string) wire.Mesh {
	if m := a.meshOf(owner)(); m != nil {
		return *m
	}
	m, err := a.Mesh.View(ctx, owner)
	if err != nil {
		a.Log.Warn("look at mesh", "account", owner, "error", err)
		return wire.Mesh{}
	}
	a.setMesh(owner, &m)
	return m
}

func (a *Agent) setMesh(owner string, m *wire.Mesh) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.meshes[owner] = m
}
