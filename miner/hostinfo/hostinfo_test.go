package hostinfo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMeasureThisHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got, err := Measure(t.Context(), Config{Root: "/", DiskDir: dir, SampleBytes: 3<<20 + 5})
	if err != nil {
		t.Fatal(err)
	}
	if got.Cores == 0 || got.MemoryMiB < 64 || got.AvailableMiB > got.MemoryMiB || got.DiskFreeGiB > got.DiskTotalGiB ||
		got.DiskWriteBytesPerSecond == 0 || got.Arch == "" || got.CPUModel == "" {
		t.Errorf("measured %+v", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestMeasureParses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name, content string) {
		if err := os.WriteFile(filepath.Join(root, "proc", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("meminfo", "MemTotal:  25165824 kB\nMemFree: 1 kB\nMemAvailable:  2097152 kB\n")
	put("cpuinfo", "processor: 0\nmodel name\t: A  CPU\x01 @ 2 GHz "+strings.Repeat("x", 99)+"\nflags\t: fpu vmx\nprocessor: 1\nmodel name: B\nflags: none\n")
	got, err := Measure(t.Context(), Config{Root: root, DiskDir: root, SampleBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got.MemoryMiB != 24576 || got.AvailableMiB != 2048 {
		t.Errorf("memory %d/%d", got.AvailableMiB, got.MemoryMiB)
	}
	if !strings.HasPrefix(got.CPUModel, "A CPU @ 2 GHz x") || len(got.CPUModel) != maxModel {
		t.Errorf("model %q", got.CPUModel)
	}
	if !got.HasFlag("vmx") || got.HasFlag("none") {
		t.Errorf("flags %v", got.CPUFlags)
	}
	put("meminfo", "nothing")
	if _, err := Measure(t.Context(), Config{Root: root, DiskDir: root, SampleBytes: 1}); err == nil {
		t.Error("a host without memory was measured")
	}
}

func TestMeasureGivesUp(t *testing.T) {
	t.Parallel()
	if _, err := Measure(t.Context(), Config{Root: "/", DiskDir: t.TempDir(), SampleBytes: maxSample + 1}); err == nil {
		t.Error("an unbounded sample was accepted")
	}
	if _, err := Measure(t.Context(), Config{Root: "/", DiskDir: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a folder that is not there was measured")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := Measure(ctx, Config{Root: "/", DiskDir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	i := Info{Cores: 8, MemoryMiB: 16000, DiskFreeGiB: 80, DiskTotalGiB: 100}
	for name, c := range map[string]struct {
		request Request
		used    uint64
		want    Offer
		says    string
	}{
		"all":               {Request{ReserveMiB: 1000, ReserveGiB: 10}, 0, Offer{8, 15000, 70}, ""},
		"disk taken counts": {Request{}, 15, Offer{8, 16000, 95}, ""},
		"never over total":  {Request{}, 500, Offer{8, 16000, 100}, ""},
		"less":              {Request{Cores: 2, MemoryMiB: 4000, DiskGiB: 20}, 0, Offer{2, 4000, 20}, ""},
		"cores":             {Request{Cores: 9}, 0, Offer{}, "has 8"},
		"memory":            {Request{MemoryMiB: 15001, ReserveMiB: 1000}, 0, Offer{}, "has 16000"},
		"disk":              {Request{DiskGiB: 81}, 0, Offer{}, "80 are free"},
		"nothing left":      {Request{ReserveMiB: 99999}, 0, Offer{}, "nothing to offer"},
	} {
		got, err := i.Decide(c.request, c.used)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v; want %+v, %q", name, got, err, c.want, c.says)
		}
	}
}
