package provision

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/seed"
)

// Built is what a VM is made from and sized to. It is remembered with the disk: a VM starts again although its image has
// left the catalogue.
type Built struct {
	VCPUs     uint32            `json:"vcpus"`
	MemoryMiB uint64            `json:"memory_mib"`
	DiskBytes uint64            `json:"disk_bytes"`
	Limits    hypervisor.Limits `json:"limits"`
	// Image is the SHA-256 of the base image in hex, Base its path here.
	Image  string `json:"image"`
	Base   string `json:"base"`
	Format string `json:"format"`
}

const gib = 1 << 30

// Sized gives the same in another size. A disk is never shrunk.
func (b Built) Sized(s plan.Size) Built {
	b.VCPUs, b.MemoryMiB, b.DiskBytes = s.VCPUs, s.MemoryMiB, max(b.DiskBytes, s.DiskGiB*gib)
	b.Limits = hypervisor.Limits{
		CPUPercent: 100, IOPS: uint64(s.IOPS), DiskBytesPerSec: s.DiskBytesPerSecond,
		NetworkBitsPerSec: s.NetworkBitsPerSecond,
	}
	return b
}

// Demand is what it takes of the host's capacity.
func (b Built) Demand() node.Demand {
	return node.Demand{VCPUs: b.VCPUs, MemoryMiB: b.MemoryMiB, DiskGiB: (b.DiskBytes + gib - 1) / gib}
}

func (b Built) definition(v vm.VM) hypervisor.Definition {
	return hypervisor.Definition{
		ID: v.ID, InstanceSeq: v.Status.InstanceSeq, Generation: v.Generation, Name: v.Spec.Name,
		VCPUs: b.VCPUs, MemoryMiB: b.MemoryMiB, DiskBytes: b.DiskBytes, Limits: b.Limits,
		BaseImage: b.Base, BaseFormat: b.Format,
	}
}

// Plan gives what to build a VM from, its image fetched.
func (p *Provisioner) Plan(ctx context.Context, n *Needs) (Built, error) {
	if n.Made != nil && !n.Outdated {
		has, err := p.c.Driver.HasDisk(ctx, hypervisor.Root(n.VM.ID))
		if err != nil {
			return Built{}, err
		}
		if has {
			n.found(true)
			return n.Made.Sized(n.VM.WantedSize()), nil
		}
	}
	images, err := p.c.Catalogue.Images(ctx)
	if err != nil {
		return Built{}, stage(ErrCatalogue, err)
	}
	name := n.VM.Spec.Image
	j := slices.IndexFunc(images, func(m plan.Image) bool { return m.Name == name })
	if j < 0 {
		return Built{}, fmt.Errorf("image %q: %w", name, ErrUnlisted)
	}
	im := images[j]
	wanted := image.Image{Name: im.Name, URLs: im.URLs, SHA256: im.SHA256, Size: im.SizeBytes}
	n.found(p.c.Images.Has(wanted))
	path, err := p.c.Images.Get(ctx, wanted)
	if err != nil {
		return Built{}, err
	}
	b := Built{Image: hex.EncodeToString(im.SHA256), Base: path, Format: im.Format}
	return b.Sized(n.VM.WantedSize()), nil
}

// apps gives the recipes of a VM's applications. On a disk that was set up with one that has left the catalogue since,
// it is not missed.
func (p *Provisioner) apps(ctx context.Context, n *Needs) ([]seed.App, error) {
	if len(n.VM.Spec.Apps) == 0 {
		return nil, nil
	}
	listed, err := p.c.Catalogue.Apps(ctx)
	if err != nil {
		return nil, stage(ErrCatalogue, err)
	}
	var out []seed.App
	for _, name := range n.VM.Spec.Apps {
		i := slices.IndexFunc(listed, func(p plan.App) bool { return p.Name == name })
		switch {
		case i >= 0:
			out = append(out, seed.App{Name: name, Recipe: listed[i].Recipe})
		case !n.HasData:
			return nil, fmt.Errorf("application %q: %w", name, ErrUnlisted)
		}
	}
	return out, nil
}
