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
	c := &credit.Meter{
		DiskRate: m.DiskRate, Carry: m.Carry, Consumed: m.Consumed,
		SettledAt: m.SettledAt, NextDue: m.NextDue, RanOutAt: m.RanOutAt, WarnedAt: m.WarnedAt,
	}
	for _, r := range m.Rates {
		c.Rates = append(c.Rates, credit.Rate{Miner: r.Miner, PerHour: r.UcreditPerHour})
	}
	for _, a := range m.Accruals {
		c.Accruals = append(c.Accruals, credit.Accrual{Miner: a.Miner, Units: a.Units})
	}
	for _, s := range m.Segments {
		c.Segments = append(c.Segments, credit.Segment{Miner: s.Miner, Until: s.Until, Units: s.Units})
	}
	return c
}

// MeterOf is the state that stands for an account's meter.
func MeterOf(account string, c *credit.Meter) Meter {
	m := Meter{
		Account: account, DiskRate: c.DiskRate, Carry: c.Carry, Consumed: c.Consumed,
		SettledAt: c.SettledAt, NextDue: c.NextDue, RanOutAt: c.RanOutAt, WarnedAt: c.WarnedAt,
	}
	for _, r := range c.Rates {
		m.Rates = append(m.Rates, MinerRate{Miner: r.Miner, UcreditPerHour: r.PerHour})
	}
	for _, a := range c.Accruals {
		m.Accruals = append(m.Accruals, Accrual{Miner: a.Miner, Units: a.Units})
	}
	for _, s := range c.Segments {
		m.Segments = append(m.Segments, Segment{Miner: s.Miner, Until: s.Until, Units: s.Units})
	}
	return m
}
