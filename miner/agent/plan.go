package agent

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/seed"
)

// built is what a VM's machine was made from and sized to. It is remembered
// with the disk: a VM starts again although its image has left the catalogue.
type built struct {
	VCPUs     uint32            `json:"vcpus"`
	MemoryMiB uint64            `json:"memory_mib"`
	DiskBytes uint64            `json:"disk_bytes"`
	Limits    hypervisor.Limits `json:"limits"`
	// Image is the SHA-256 of the base image in hex, Base its path here.
	Image  string `json:"image"`
	Base   string `json:"base"`
	Format string `json:"format"`
}

func (b built) machine() hypervisor.Machine {
	return hypervisor.Machine{
		VCPUs: b.VCPUs, MemoryMiB: b.MemoryMiB, DiskBytes: b.DiskBytes, Limits: b.Limits,
		BaseImage: b.Base, BaseFormat: b.Format,
	}
}

const gib = 1 << 30

// plan gives what to build a VM from, its image fetched.
func (a *Agent) plan(ctx context.Context, r record) (built, error) {
	if r.local.Built != nil && !r.outdated() {
		has, err := a.Driver.HasDisk(ctx, r.vm.ID)
		if err != nil {
			return built{}, err
		}
		if has {
			return r.local.Built.sized(r.vm.WantedSize()), nil
		}
	}
	spec := r.vm.Spec
	images, err := a.Catalogue.Images(ctx)
	if err != nil {
		return built{}, stage(errCatalogue, err)
	}
	j := slices.IndexFunc(images, func(m plan.Image) bool { return m.Name == spec.Image })
	if j < 0 {
		return built{}, fmt.Errorf("image %q: %w", spec.Image, errUnlisted)
	}
	im := images[j]
	path, err := a.Images.Get(ctx, image.Image{Name: im.Name, URLs: im.URLs, SHA256: im.SHA256, Size: im.SizeBytes})
	if err != nil {
		return built{}, err
	}
	b := built{Image: hex.EncodeToString(im.SHA256), Base: path, Format: im.Format}
	return b.sized(r.vm.WantedSize()), nil
}

// sized gives the same machine in another size. A disk is never shrunk.
func (b built) sized(s plan.Size) built {
	b.VCPUs, b.MemoryMiB, b.DiskBytes = s.VCPUs, s.MemoryMiB, max(b.DiskBytes, s.DiskGiB*gib)
	b.Limits = hypervisor.Limits{
		CPUPercent: 100, IOPS: uint64(s.IOPS), DiskBytesPerSec: s.DiskBytesPerSecond,
		NetworkBitsPerSec: s.NetworkBitsPerSecond,
	}
	return b
}

// apps gives the recipes of a VM's applications. On a disk that was set up with
// one that has left the catalogue since, it is not missed.
func (a *Agent) apps(ctx context.Context, r record) ([]seed.App, error) {
	wanted := r.vm.Spec.Apps
	if len(wanted) == 0 {
		return nil, nil
	}
	listed, err := a.Catalogue.Apps(ctx)
	if err != nil {
		return nil, stage(errCatalogue, err)
	}
	var out []seed.App
	for _, name := range wanted {
		i := slices.IndexFunc(listed, func(p plan.App) bool { return p.Name == name })
		switch {
		case i >= 0:
			out = append(out, seed.App{Name: name, Recipe: listed[i].Recipe})
		case !r.hasData():
			return nil, fmt.Errorf("application %q: %w", name, errUnlisted)
		}
	}
	return out, nil
}
