package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/seed"
)

var (
	errDead = errors.New("the process is dead")
	errOdd  = errors.New("it failed for once")
)

// oddPart of a hundred calls fail for once while the world is at its worst.
const oddPart = 2

// do is every call by which a process changes anything outside itself. A dead
// one changes nothing; one with a trap dies of it, before or after its effect.
func (p *process) do(name, id string, f func() error) error {
	p.h.w.observe()
	p.mu.Lock()
	dead, hit, after := p.dead, p.trap == name, p.trapAfter
	p.mu.Unlock()
	if dead {
		return errDead
	}
	if hit && !after {
		p.die()
		return errDead
	}
	if !hit && p.h.w.odd() && p.h.w.chance.word(p.h.name, name, id, time.Now().UnixNano()) < oddPart {
		return fmt.Errorf("%s: %w", name, errOdd)
	}
	err := f()
	if hit {
		p.die()
		return errDead
	}
	return err
}

// calls that a process may die in.
func calls() []string {
	return []string{
		"report", "everywhere", "collect", "image", "attach", "detach", "put seed", "remove seed",
		"define", "create disk", "start", "shutdown", "reboot", "destroy",
	}
}

// ports is the agent's way to the chain.
type ports struct {
	p *process
	agent.Chain
}

// Changes implements agent.Chain; it changes nothing, but the dead do not ask.
func (c *ports) Changes(ctx context.Context, after int64) (agent.Changes, error) {
	if c.p.isDead() {
		return agent.Changes{}, errDead
	}
	return c.Chain.Changes(ctx, after)
}

// Everywhere implements agent.Chain.
func (c *ports) Everywhere(ctx context.Context, id vm.ID) (v []vm.VM, err error) {
	err = c.p.do("everywhere", string(id), func() (err error) { v, err = c.Chain.Everywhere(ctx, id); return err })
	return v, err
}

// Report implements agent.Chain.
func (c *ports) Report(ctx context.Context, r []vm.Report) (out []vm.ReportResult, err error) {
	err = c.p.do("report", "", func() (err error) { out, err = c.Chain.Report(ctx, r); return err })
	return out, err
}

type portSecrets struct {
	p *process
	provision.Secrets
}

// Collect implements provision.Secrets.
func (s *portSecrets) Collect(ctx context.Context, id vm.ID, seq uint32) (b instance.Bundle, u []byte, err error) {
	err = s.p.do("collect", string(id), func() (err error) { b, u, err = s.Secrets.Collect(ctx, id, seq); return err })
	return b, u, err
}

type portImages struct {
	p *process
	*images
}

// Get implements provision.Images.
func (s *portImages) Get(ctx context.Context, im image.Image) (path string, err error) {
	err = s.p.do("image", im.Name, func() (err error) { path, err = s.images.Get(ctx, im); return err })
	return path, err
}

type portNetwork struct {
	p *process
	*taps
}

// Attach implements provision.Network.
func (n *portNetwork) Attach(ctx context.Context, q provision.Port) (nic provision.NIC, err error) {
	err = n.p.do("attach", string(q.ID), func() (err error) { nic, err = n.taps.Attach(ctx, q); return err })
	return nic, err
}

// Detach implements provision.Network.
func (n *portNetwork) Detach(ctx context.Context, id vm.ID) error {
	return n.p.do("detach", string(id), func() error { return n.taps.Detach(ctx, id) })
}

type portSeeds struct {
	p *process
	*seed.Store
}

// Put implements provision.Seeds.
func (s *portSeeds) Put(v seed.Seed) (path string, err error) {
	err = s.p.do("put seed", string(v.VMID), func() (err error) { path, err = s.Store.Put(v); return err })
	return path, err
}

// Remove implements provision.Seeds.
func (s *portSeeds) Remove(id vm.ID) error {
	return s.p.do("remove seed", string(id), func() error { return s.Store.Remove(id) })
}

type portDriver struct {
	hypervisor.Driver
	p *process
}

// Define implements hypervisor.Driver.
func (d *portDriver) Define(ctx context.Context, m hypervisor.Definition) error {
	return d.p.do("define", string(m.ID), func() error { return d.Driver.Define(ctx, m) })
}

// CreateDisk implements hypervisor.Driver.
func (d *portDriver) CreateDisk(ctx context.Context, disk hypervisor.Disk) error {
	return d.p.do("create disk", string(disk.VM), func() error { return d.Driver.CreateDisk(ctx, disk) })
}

// Start implements hypervisor.Driver.
func (d *portDriver) Start(ctx context.Context, id vm.ID, k hypervisor.DiskKey) error {
	return d.p.do("start", string(id), func() error { return d.Driver.Start(ctx, id, k) })
}

// Shutdown implements hypervisor.Driver.
func (d *portDriver) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (m hypervisor.Manner, err error) {
	err = d.p.do("shutdown", string(id), func() (err error) { m, err = d.Driver.Shutdown(ctx, id, deadline); return err })
	return m, err
}

// Reboot implements hypervisor.Driver.
func (d *portDriver) Reboot(ctx context.Context, id vm.ID, deadline time.Duration) (m hypervisor.Manner, err error) {
	err = d.p.do("reboot", string(id), func() (err error) { m, err = d.Driver.Reboot(ctx, id, deadline); return err })
	return m, err
}

// Resume implements hypervisor.Driver.
func (d *portDriver) Resume(ctx context.Context, id vm.ID) error {
	return d.p.do("resume", string(id), func() error { return d.Driver.Resume(ctx, id) })
}

// Destroy implements hypervisor.Driver.
func (d *portDriver) Destroy(ctx context.Context, id vm.ID) error {
	return d.p.do("destroy", string(id), func() error { return d.Driver.Destroy(ctx, id) })
}

// Discard implements hypervisor.Driver.
func (d *portDriver) Discard(ctx context.Context, t hypervisor.Trashed) error {
	return d.p.do("discard", string(t.VM), func() error { return d.Driver.Discard(ctx, t) })
}

// taps are a host's network.
type taps struct {
	mu    sync.Mutex
	ports map[vm.ID]int
	next  int
	err   error
}

// Attach implements provision.Network.
func (n *taps) Attach(_ context.Context, p provision.Port) (provision.NIC, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return provision.NIC{}, n.err
	}
	if _, ok := n.ports[p.ID]; !ok {
		n.next++
		n.ports[p.ID] = n.next
	}
	at := n.ports[p.ID]
	hi, lo := byte(at>>8), byte(at)
	return provision.NIC{
		Tap: fmt.Sprintf("hip%d", at), MAC: fmt.Sprintf("52:54:00:00:%02x:%02x", hi, lo),
		Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, hi, lo, 2}), 30), Gateway: netip.AddrFrom4([4]byte{10, hi, lo, 1}),
	}, nil
}

// Detach implements provision.Network.
func (n *taps) Detach(_ context.Context, id vm.ID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, id)
	return nil
}

func (n *taps) set(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

func (n *taps) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ports)
}

// images are a host's cache.
type images struct {
	mu  sync.Mutex
	err error
}

// Get implements provision.Images.
func (s *images) Get(ctx context.Context, _ image.Image) (string, error) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		// Later than what else may fail in the same step, so that it is always the other that is told.
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(10 * time.Millisecond):
			return "", err
		}
	}
	return "/images/tiny", nil
}

// Has implements provision.Images: a download is no time here.
func (*images) Has(image.Image) bool { return true }

// Trim implements provision.Images.
func (*images) Trim(func(string) bool, time.Time) (uint64, error) { return 0, nil }

func (s *images) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// noMesh is a mesh without lighthouses.
type noMesh struct{}

// View implements agent.Mesh.
func (noMesh) View(context.Context, string) (wire.Mesh, error) { return wire.Mesh{}, nil }
