package agent_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/seed"
)

// injector makes one call of many go wrong: before it is carried out, or after,
// which is what a crash between a step and its record looks like.
type injector struct {
	mu    sync.Mutex
	calls int
	at    int
	after bool
	name  string // of the call that went wrong
}

var errInjected = errors.New("injected")

func (i *injector) do(name string, f func() error) error {
	i.mu.Lock()
	hit := i.calls == i.at
	i.calls++
	if hit {
		i.name = name
	}
	after := i.after
	i.mu.Unlock()
	if hit && !after {
		return errInjected
	}
	err := f()
	if hit && err == nil {
		return errInjected
	}
	return err
}

func (i *injector) hit() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.name
}

// apply puts the injector between the agent and everything that changes anything.
func (i *injector) apply(p *agent.Parts) {
	p.Chain = &injectedChain{p.Chain, i}
	p.Secrets = &injectedSecrets{p.Secrets, i}
	p.Images = &injectedImages{p.Images, i}
	p.Network = &injectedNetwork{p.Network, i}
	p.Seeds = &injectedSeeds{p.Seeds, i}
	p.Driver = &injectedDriver{p.Driver, i}
}

type injectedChain struct {
	agent.Chain
	i *injector
}

func (c *injectedChain) Everywhere(ctx context.Context, id vm.ID) (v []vm.VM, err error) {
	err = c.i.do("everywhere", func() (err error) { v, err = c.Chain.Everywhere(ctx, id); return err })
	return v, err
}

func (c *injectedChain) Report(ctx context.Context, r []vm.Report) (out []vm.ReportResult, err error) {
	if len(r) == 0 {
		return c.Chain.Report(ctx, r)
	}
	err = c.i.do("report", func() (err error) { out, err = c.Chain.Report(ctx, r); return err })
	return out, err
}

type injectedSecrets struct {
	provision.Secrets
	i *injector
}

func (s *injectedSecrets) Collect(ctx context.Context, id vm.ID, seq uint32) (b instance.Bundle, u []byte, err error) {
	err = s.i.do("collect", func() (err error) { b, u, err = s.Secrets.Collect(ctx, id, seq); return err })
	return b, u, err
}

type injectedImages struct {
	provision.Images
	i *injector
}

func (s *injectedImages) Get(ctx context.Context, im image.Image) (path string, err error) {
	err = s.i.do("image", func() (err error) { path, err = s.Images.Get(ctx, im); return err })
	return path, err
}

type injectedNetwork struct {
	provision.Network
	i *injector
}

func (n *injectedNetwork) Attach(ctx context.Context, p provision.Port) (nic provision.NIC, err error) {
	err = n.i.do("attach", func() (err error) { nic, err = n.Network.Attach(ctx, p); return err })
	return nic, err
}

func (n *injectedNetwork) Detach(ctx context.Context, id vm.ID) error {
	return n.i.do("detach", func() error { return n.Network.Detach(ctx, id) })
}

type injectedSeeds struct {
	provision.Seeds
	i *injector
}

func (s *injectedSeeds) Put(v seed.Seed) (path string, err error) {
	err = s.i.do("put seed", func() (err error) { path, err = s.Seeds.Put(v); return err })
	return path, err
}

func (s *injectedSeeds) Remove(id vm.ID) error {
	return s.i.do("remove seed", func() error { return s.Seeds.Remove(id) })
}

type injectedDriver struct {
	hypervisor.Driver
	i *injector
}

func (d *injectedDriver) Define(ctx context.Context, m hypervisor.Definition) error {
	return d.i.do("define", func() error { return d.Driver.Define(ctx, m) })
}

func (d *injectedDriver) Start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	return d.i.do("start", func() error { return d.Driver.Start(ctx, id, key) })
}

func (d *injectedDriver) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (m hypervisor.Manner, err error) {
	err = d.i.do("shutdown", func() (err error) { m, err = d.Driver.Shutdown(ctx, id, deadline); return err })
	return m, err
}

func (d *injectedDriver) Reboot(ctx context.Context, id vm.ID, deadline time.Duration) (m hypervisor.Manner, err error) {
	err = d.i.do("reboot", func() (err error) { m, err = d.Driver.Reboot(ctx, id, deadline); return err })
	return m, err
}

func (d *injectedDriver) Destroy(ctx context.Context, id vm.ID) error {
	return d.i.do("destroy", func() error { return d.Driver.Destroy(ctx, id) })
}

func (d *injectedDriver) ResizeDisk(ctx context.Context, id hypervisor.DiskID, size uint64, key hypervisor.DiskKey) error {
	return d.i.do("resize disk", func() error { return d.Driver.ResizeDisk(ctx, id, size, key) })
}

func (d *injectedDriver) CreateDisk(ctx context.Context, m hypervisor.Disk) error {
	return d.i.do("create disk", func() error { return d.Driver.CreateDisk(ctx, m) })
}

func (d *injectedDriver) TrashDisk(ctx context.Context, id hypervisor.DiskID) error {
	return d.i.do("trash disk", func() error { return d.Driver.TrashDisk(ctx, id) })
}

// live takes a VM through its whole life.
func live(w *world) {
	w.t.Helper()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	w.order(id, vm.Reboot)
	w.until("rebooted", func() bool {
		return w.chain.Get(id).Status.ObservedRebootSeq == 1 && w.chain.Phase(id) == vm.Running
	})
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	w.until("nothing runs", func() bool { return len(w.runtime(id)) == 0 })
	w.order(id, vm.Start)
	w.until("running again", func() bool { return w.runs(id) })
	w.order(id, vm.Terminate)
	w.untilPhase(id, vm.Terminated)
	w.until("nothing is left", func() bool { return len(w.leftovers(id)) == 0 })
}

// Whatever step fails, before or after it took effect, the VM gets through its
// life and nothing of it is left.
func TestEachStepFailsOnce(t *testing.T) {
	t.Parallel()
	const enough = 48 // about as many calls as a life has
	for _, after := range []bool{false, true} {
		for at := range enough {
			t.Run(fmt.Sprintf("call %d, after %v", at, after), func(t *testing.T) {
				t.Parallel()
				i := &injector{at: at, after: after}
				w := newWorld(t)
				w.parts = i.apply
				w.startAgent()
				live(w)
				if at < 15 && i.hit() == "" {
					t.Errorf("a life has only %d calls", i.calls)
				}
			})
		}
	}
}

// The same with the agent itself ending at each step, and another taking over.
func TestEachStepCrashes(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for at := range 32 {
			t.Run(fmt.Sprintf("call %d, after %v", at, after), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				i := &injector{at: at, after: after}
				w.parts = i.apply
				w.startAgent()
				var over sync.WaitGroup
				over.Go(func() {
					for i.hit() == "" && t.Context().Err() == nil {
						time.Sleep(time.Millisecond)
					}
					if t.Context().Err() == nil {
						w.stopAgent()
						w.parts = func(*agent.Parts) {}
						w.startAgent()
					}
				})
				live(w)
				if i.hit() == "" {
					i.mu.Lock()
					i.name = "none" // let the watcher go
					i.mu.Unlock()
				}
				over.Wait()
			})
		}
	}
}
