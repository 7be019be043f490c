package types

import (
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
)

// Core is the plan as the rules know it.
func (p Plan) Core() plan.Plan {
	return plan.Plan{
		Name: p.Name, Order: p.Order,
		Size: plan.Size{
			VCPUs: p.Vcpus, MemoryMiB: p.MemoryMib, DiskGiB: p.DiskGib, IOPS: p.Iops,
			DiskBytesPerSecond: p.DiskBytesPerSecond, NetworkBitsPerSecond: p.NetworkBitsPerSecond,
		},
	}
}

// PlanOf is the state that stands for the plan.
func PlanOf(p plan.Plan) Plan {
	return Plan{
		Name: p.Name, Vcpus: p.VCPUs, MemoryMib: p.MemoryMiB, DiskGib: p.DiskGiB, Iops: p.IOPS,
		DiskBytesPerSecond: p.DiskBytesPerSecond, NetworkBitsPerSecond: p.NetworkBitsPerSecond, Order: p.Order,
	}
}

// Core is the image as the rules know it.
func (i Image) Core() plan.Image {
	return plan.Image{
		Name: i.Name, OS: i.Os, Version: i.Version, URLs: i.Urls, SHA256: i.Sha256, Format: i.Format,
		SizeBytes: i.SizeBytes, VirtualSizeBytes: i.VirtualSizeBytes, Arch: i.Arch, User: i.User,
	}
}

// ImageOf is the state that stands for the image.
func ImageOf(i plan.Image) Image {
	return Image{
		Name: i.Name, Os: i.OS, Version: i.Version, Urls: i.URLs, Sha256: i.SHA256, Format: i.Format,
		SizeBytes: i.SizeBytes, VirtualSizeBytes: i.VirtualSizeBytes, Arch: i.Arch, User: i.User,
	}
}

// Core is the application as the rules know it.
func (a App) Core() plan.App {
	return plan.App{Name: a.Name, Description: a.Description, Recipe: a.Recipe, Images: a.Images}
}

// AppOf is the state that stands for the application.
func AppOf(a plan.App) App {
	return App{Name: a.Name, Description: a.Description, Recipe: a.Recipe, Images: a.Images}
}

// Core is the meter as the rules know it.
func (m Meter) Core() *credit.Meter {
	return &credit.Meter{
		Rate: m.Rate, DiskRate: m.DiskRate, Owed: m.Owed, OwedAt: m.OwedAt, Carry: m.Carry, Consumed: m.Consumed,
		SettledAt: m.SettledAt, NextDue: m.NextDue, RanOutAt: m.RanOutAt, WarnedAt: m.WarnedAt,
		Notices: m.Notices, NoticedAt: m.NoticedAt,
	}
}

// MeterOf is the state that stands for an account's meter.
func MeterOf(account string, c *credit.Meter) Meter {
	return Meter{
		Account: account, Rate: c.Rate, DiskRate: c.DiskRate, Owed: c.Owed, OwedAt: c.OwedAt, Carry: c.Carry, Consumed: c.Consumed,
		SettledAt: c.SettledAt, NextDue: c.NextDue, RanOutAt: c.RanOutAt, WarnedAt: c.WarnedAt,
		Notices: c.Notices, NoticedAt: c.NoticedAt,
	}
}
