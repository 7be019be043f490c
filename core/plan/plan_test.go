package plan

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hippius/compute/core/credit"
)

func TestDefaults(t *testing.T) {
	want := map[string]struct {
		plan  Plan
		rates Rates
	}{
		"spark":     {Plan{"spark", Size{1, 2048, 18, 500, 50_000_000, 100_000_000}, 1}, Rates{8900, 900}},
		"pulse":     {Plan{"pulse", Size{2, 4096, 26, 1000, 100_000_000, 200_000_000}, 2}, Rates{17300, 1300}},
		"cipher":    {Plan{"cipher", Size{4, 8192, 42, 2000, 200_000_000, 400_000_000}, 3}, Rates{34100, 2100}},
		"vault":     {Plan{"vault", Size{8, 16384, 74, 4000, 400_000_000, 800_000_000}, 4}, Rates{67700, 3700}},
		"fortress":  {Plan{"fortress", Size{16, 32768, 138, 8000, 800_000_000, 1_600_000_000}, 5}, Rates{134900, 6900}},
		"titan":     {Plan{"titan", Size{32, 65536, 266, 16000, 1_000_000_000, 3_200_000_000}, 6}, Rates{269300, 13300}},
		"sovereign": {Plan{"sovereign", Size{64, 131072, 522, 20000, 1_000_000_000, 6_400_000_000}, 7}, Rates{538100, 26100}},
	}
	plans := Defaults()
	if len(plans) != len(want) {
		t.Fatalf("%d plans", len(plans))
	}
	for i, p := range plans {
		w := want[p.Name]
		if p != w.plan {
			t.Errorf("got %+v, want %+v", p, w.plan)
		}
		if r, err := DefaultPrices().Quote(p.Size); err != nil || r != w.rates {
			t.Errorf("%s costs %+v, want %+v (%v)", p.Name, r, w.rates, err)
		}
		if i > 0 && p.Order <= plans[i-1].Order {
			t.Errorf("%s is out of order", p.Name)
		}
	}
}

// A quote is never less than the exact price and less than one ucredit more.
func TestQuoteRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Plan{"p", Size{1, 1024, 1, 1, 1, MinNetworkBits}, 1}
		p.VCPUs = rapid.Uint32Range(1, MaxVCPUs).Draw(t, "vcpus")
		p.MemoryMiB = rapid.Uint64Range(MinMemoryMiB, MaxMemoryMiB).Draw(t, "mem")
		p.DiskGiB = rapid.Uint64Range(1, MaxDiskGiB).Draw(t, "disk")
		price := func(most uint64, what string) uint64 { return rapid.Uint64Range(0, most).Draw(t, what) }
		pr := Prices{price(MaxVCPUPrice, "vcpu"), price(MaxMemoryPrice, "mem"), price(MaxDiskPrice, "disk")}
		r, err := pr.Quote(p.Size)
		if err != nil {
			t.Fatal(err)
		}
		fixed := uint64(p.VCPUs)*pr.VCPU + p.DiskGiB*pr.DiskGiB
		mem := (r.Running - fixed) * MiBPerGiB
		if exact := p.MemoryMiB * pr.MemoryGiB; mem < exact || mem >= exact+MiBPerGiB {
			t.Fatalf("memory priced %d/1024, exact %d/1024", mem, exact)
		}
		if r.Stopped != p.DiskGiB*pr.DiskGiB || r.Stopped > r.Running {
			t.Fatalf("%+v", r)
		}
	})
}

// The largest size has a rate at the highest prices, which an account may be charged.
func TestLargestSizeHasARate(t *testing.T) {
	s := Size{VCPUs: MaxVCPUs, MemoryMiB: MaxMemoryMiB, DiskGiB: MaxDiskGiB, IOPS: 1, DiskBytesPerSecond: 1, NetworkBitsPerSecond: MinNetworkBits}
	r, err := (Prices{VCPU: MaxVCPUPrice, MemoryGiB: MaxMemoryPrice, DiskGiB: MaxDiskPrice}).Quote(s)
	if err != nil || r.Running > credit.MaxRate {
		t.Errorf("%+v costs %d ucredit an hour, %v; an account is charged at most %d", s, r.Running, err, uint64(credit.MaxRate))
	}
}

func TestSort(t *testing.T) {
	plans := []Plan{{Name: "c", Order: 2}, {Name: "b", Order: 1}, {Name: "a", Order: 2}}
	Sort(plans)
	if plans[0].Name != "b" || plans[1].Name != "a" || plans[2].Name != "c" {
		t.Errorf("%v", plans)
	}
}

func TestValidatePlan(t *testing.T) {
	good := Defaults()[0]
	for name, spoil := range map[string]func(*Plan){
		"name":    func(p *Plan) { p.Name = "Spark" },
		"no name": func(p *Plan) { p.Name = "" },
		"long":    func(p *Plan) { p.Name = strings.Repeat("a", 33) },
		"dash":    func(p *Plan) { p.Name = "-a" },
		"cpu":     func(p *Plan) { p.VCPUs = 0 },
		"memory":  func(p *Plan) { p.MemoryMiB = 1 },
		"cpus":    func(p *Plan) { p.VCPUs = MaxVCPUs + 1 },
		"slow":    func(p *Plan) { p.NetworkBitsPerSecond = MinNetworkBits - 1 },
		"disk":    func(p *Plan) { p.DiskGiB = MaxDiskGiB + 1 },
		"iops":    func(p *Plan) { p.IOPS = 0 },
		"speed":   func(p *Plan) { p.DiskBytesPerSecond = 0 },
		"network": func(p *Plan) { p.NetworkBitsPerSecond = MaxNetworkBits + 1 },
	} {
		p := good
		spoil(&p)
		if p.Validate() == nil {
			t.Errorf("%s: %+v accepted", name, p)
		}
	}
	if _, err := (Prices{VCPU: MaxVCPUPrice + 1}).Quote(good.Size); err == nil {
		t.Error("price beyond the bound accepted")
	}
}

func TestValidateImage(t *testing.T) {
	good := Image{
		Name: "debian-12", OS: "Debian", Version: "12", URLs: []string{"https://example.org/d.qcow2"}, SHA256: bytes.Repeat([]byte{1}, 32),
		Format: "qcow2", SizeBytes: 1, VirtualSizeBytes: 1, Arch: "amd64", User: "debian",
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Image){
		"name":     func(i *Image) { i.Name = "a/b" },
		"no url":   func(i *Image) { i.URLs = nil },
		"scheme":   func(i *Image) { i.URLs = []string{"ftp://example.org/x"} },
		"password": func(i *Image) { i.URLs = []string{"https://u:p@example.org/x"} },
		"no host":  func(i *Image) { i.URLs = []string{"https:x"} },
		"space":    func(i *Image) { i.URLs = []string{"https://example.org/a b"} },
		"turned":   func(i *Image) { i.URLs = []string{"https://example.org/\u202egpj"} },
		"script":   func(i *Image) { i.URLs = []string{"javascript:alert(1)"} },
		"relative": func(i *Image) { i.URLs = []string{"../../etc/shadow"} },
		"url":      func(i *Image) { i.URLs = []string{"https://example.org/" + strings.Repeat("x", 600)} },
		"sha":      func(i *Image) { i.SHA256 = i.SHA256[1:] },
		"format":   func(i *Image) { i.Format = "vmdk" },
		"size":     func(i *Image) { i.SizeBytes = 0 },
		"disk":     func(i *Image) { i.VirtualSizeBytes = 1<<40 + 1 },
		"arch":     func(i *Image) { i.Arch = "x86" },
		"user":     func(i *Image) { i.User = "Root me" },
		"os":       func(i *Image) { i.OS = "a\nb" },
	} {
		i := good
		spoil(&i)
		if i.Validate() == nil {
			t.Errorf("%s: %+v accepted", name, i)
		}
	}
}

func TestImageNeedsWholeGiB(t *testing.T) {
	for bytes, want := range map[uint64]uint64{1: 1, 1 << 30: 1, 1<<30 + 1: 2, 18 << 30: 18} {
		if got := (Image{VirtualSizeBytes: bytes}).MinDiskGiB(); got != want {
			t.Errorf("%d bytes need %d GiB, want %d", bytes, got, want)
		}
	}
}

func TestValidateApp(t *testing.T) {
	for _, a := range DefaultApps() {
		if err := a.Validate(); err != nil {
			t.Error(err)
		}
		if !a.WorksOn("debian-12") {
			t.Errorf("%s does not work on debian-12", a.Name)
		}
	}
	good := DefaultApps()[0]
	for name, spoil := range map[string]func(*App){
		"name":        func(a *App) { a.Name = "" },
		"description": func(a *App) { a.Description = strings.Repeat("x", 257) },
		"no recipe":   func(a *App) { a.Recipe = "" },
		"recipe":      func(a *App) { a.Recipe = strings.Repeat("x", MaxRecipe+1) },
		"images":      func(a *App) { a.Images = make([]string, 33) },
		"image":       func(a *App) { a.Images = []string{"?"} },
	} {
		a := good
		spoil(&a)
		if a.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if (App{Images: []string{"tiny"}}).WorksOn("debian-12") {
		t.Error("works on an image it does not name")
	}
}
