// Package provision makes what a VM needs on its host, and takes it away again. The resources stand in one order, in
// which they are made, and are released in reverse:
//
//	tap → seed → definition → disk → process
//
// Each may be asked for again at any time, after any crash. What is there is looked at and made right, also under a VM
// that runs, as far as that does not disturb it.
package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/undo"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/seed"
)

// Stages of bringing a VM up, to name where an error came from.
var (
	ErrCatalogue = errors.New("read catalogue")
	ErrUnlisted  = errors.New("not in the catalogue")
	ErrSecrets   = errors.New("collect secrets")
	ErrNetwork   = errors.New("attach network")
	ErrStart     = errors.New("start VM")
	ErrNoDisk    = errors.New("the VM's disk is not on this host")
)

func stage(kind, err error) error { return fmt.Errorf("%w: %w", kind, err) }

// Config of a Provisioner; all are required but AgentISO.
type Config struct {
	ChainID string
	// AgentISO is the path of the shared CD.
	AgentISO  string
	Catalogue Catalogue
	Secrets   Secrets
	Images    Images
	Network   Network
	Seeds     Seeds
	Driver    hypervisor.Driver
	Notes     Notes
}

// Provisioner makes and releases what VMs need. It is safe for concurrent use, for one VM by one caller at a time.
type Provisioner struct {
	c    Config
	list []resource
}

// New makes a provisioner.
func New(c Config) *Provisioner {
	return &Provisioner{c: c, list: []resource{
		{"tap", false, tap{c.Network}},
		{"seed", false, cd{c.Seeds, c.ChainID}},
		{"definition", true, definition{c.Driver, c.AgentISO}},
		{"root disk", true, rootDisk{c.Driver, c.Notes, c.Secrets}},
		{"process", false, process{c.Driver}},
	}}
}

// Resource is one thing that a VM needs on its host.
type Resource interface {
	// Ensure makes it, or makes right what is there of it.
	Ensure(ctx context.Context, n *Needs) error
	// Release removes all that Ensure made. What is not there is no error.
	Release(ctx context.Context, id vm.ID, why Reason) error
}

// Reason for which a resource is released.
type Reason uint8

// The reasons.
const (
	// Undone: what comes after it could not be made.
	Undone Reason = iota + 1
	// Off: the VM is off, and keeps its disk here.
	Off
	// Gone: nothing of the VM is to stay here.
	Gone
)

type resource struct {
	name string
	// lasting ones stay while the VM is off.
	lasting bool
	Resource
}

// Needs are those of one VM.
type Needs struct {
	VM vm.VM
	// Built is what it is to be made from and sized to, as Plan says.
	Built Built
	// Made is what its disk was made for, nil if that is not remembered. Outdated says that it is from before a rebuild.
	Made     *Built
	Outdated bool
	// DiskSeq is the instance whose key opens the disk, if there is one; 0 for not known.
	DiskSeq uint32
	// HasData: its disk holds what its tenant must not lose.
	HasData bool
	// Running: it has a process. What that has open is not replaced.
	Running bool
	// Bundles of its instances; not used while it runs.
	Bundles *Bundles
	// Found, if not nil, is called once it is known whether what it is made from is here, before that is fetched if it is not. It may be
	// called by another goroutine, while Plan or Collect runs.
	Found func(here bool)
	// Mesh gives what the guest is told of the mesh when it boots.
	Mesh func(ctx context.Context) wire.Mesh

	// What resources have of those before them.
	own  opened
	apps []seed.App
	nic  NIC
	cd   string
	key  hypervisor.DiskKey
}

func (n *Needs) found(here bool) {
	if n.Found != nil {
		n.Found(here)
	}
}

// made says that the disk is as planned.
func (n *Needs) made(seq uint32) {
	b := n.Built
	n.Made, n.Outdated, n.DiskSeq = &b, false, seq
}

// Collect gets what a start needs from elsewhere: secrets, image and applications. It notes the plan in n.Built.
func (p *Provisioner) Collect(ctx context.Context, n *Needs) error {
	g, both := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		n.own, err = n.Bundles.open(both, p.c.Secrets, n.VM.ID, n.VM.Status.InstanceSeq)
		return err
	})
	g.Go(func() (err error) { n.Built, err = p.Plan(both, n); return err })
	if err := g.Wait(); err != nil {
		return err
	}
	var err error
	n.apps, err = p.apps(ctx, n)
	return err
}

// Up makes all that a VM needs that does not run, and starts it; Collect comes before. If that fails, what only a running
// VM needs is released, unless it may run after all.
func (p *Provisioner) Up(ctx context.Context, n *Needs) (err error) {
	var made undo.Stack
	defer made.Fail(ctx, &err)
	for i, r := range p.list {
		if err := r.Ensure(ctx, n); err != nil {
			if i == len(p.list)-1 && p.mayRun(ctx, n.VM.ID) {
				made.Success() // what runs needs its tap and its seed
			}
			return err
		}
		if !r.lasting {
			made.Add("release "+r.name, func(ctx context.Context) error { return r.Release(ctx, n.VM.ID, Undone) })
		}
	}
	made.Success()
	return nil
}

// Verify looks at what a running VM needs, and makes it right where it is not. n.Built is what the VM has, or a larger
// disk that it is to have.
func (p *Provisioner) Verify(ctx context.Context, n *Needs) error {
	n.Running = true
	for _, r := range p.list {
		if err := r.Ensure(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// Down releases what only a running VM needs of one that is off.
func (p *Provisioner) Down(ctx context.Context, id vm.ID) error { return p.release(ctx, id, Off) }

// Remove releases all of a VM; its disk stays in the trash for a while.
func (p *Provisioner) Remove(ctx context.Context, id vm.ID) error { return p.release(ctx, id, Gone) }

// Cut forces a VM off.
func (p *Provisioner) Cut(ctx context.Context, id vm.ID) error {
	return process{p.c.Driver}.Release(ctx, id, Gone)
}

func (p *Provisioner) release(ctx context.Context, id vm.ID, why Reason) error {
	for _, r := range slices.Backward(p.list) {
		if r.lasting && why != Gone {
			continue
		}
		if err := r.Release(ctx, id, why); err != nil {
			return err
		}
	}
	return nil
}

// mayRun tells whether a VM whose start failed has a process after all, or may have one for all that can be seen.
func (p *Provisioner) mayRun(ctx context.Context, id vm.ID) bool {
	info, err := p.c.Driver.Inspect(ctx, id)
	return err != nil || info.State.Alive()
}
