package fake_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/fake"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// echoer is an agent that says each line back, but tells its disk's size when asked.
func echoer(size func(vm.ID) uint64) func(context.Context, hypervisor.Definition, net.Conn) {
	return func(_ context.Context, m hypervisor.Definition, channel net.Conn) {
		lines := bufio.NewScanner(channel)
		for lines.Scan() {
			answer := lines.Text()
			if answer == "size" {
				answer = strconv.FormatUint(size(m.ID)/512, 10)
			}
			if _, err := fmt.Fprintln(channel, answer); err != nil {
				return
			}
		}
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	vmtest.Run(t, func(t *testing.T) *vmtest.Harness {
		t.Helper()
		dir := t.TempDir()
		var driver *fake.Driver
		size := func(id vm.ID) uint64 {
			n, err := driver.DiskBytes(id)
			if err != nil {
				t.Error(err)
			}
			return n
		}
		h := &vmtest.Harness{Timeout: 10 * time.Second, Deadline: 5 * time.Second}
		open := func() {
			var err error
			driver, err = fake.New(fake.Config{Dir: dir, Boot: 50 * time.Millisecond, Guest: echoer(size)})
			if err != nil {
				t.Fatal(err)
			}
			h.Driver = driver
		}
		open()
		t.Cleanup(func() {
			if err := driver.Close(); err != nil {
				t.Error(err)
			}
		})
		h.Definition = func(_ *testing.T, deaf bool) hypervisor.Definition {
			m := hypervisor.Definition{
				ID: vmtest.NewID(), InstanceSeq: 1, Generation: 1, Name: "test",
				VCPUs: 1, MemoryMiB: 64, DiskBytes: 4 << 20, BaseImage: filepath.Join(dir, "base"), BaseFormat: hypervisor.FormatRaw,
				DiskKey: vmtest.NewKey(), Tap: "hiptest", MAC: "52:54:00:00:00:01",
			}
			driver.SetIgnoreACPI(m.ID, deaf)
			return m
		}
		h.Talker = func(t *testing.T) hypervisor.Definition { t.Helper(); return h.Definition(t, false) }
		h.Reopen = func(t *testing.T) {
			t.Helper()
			if err := driver.Close(); err != nil {
				t.Fatal(err)
			}
			open()
		}
		h.KillProcess = func(t *testing.T, id vm.ID) { t.Helper(); testkit.Check(t, driver.KillProcess(id)) }
		h.PowerOff = func(t *testing.T, id vm.ID) { t.Helper(); testkit.Check(t, driver.PowerOff(id)) }
		h.SetDown = func(_ *testing.T, down bool) { driver.SetHypervisorDown(down) }
		h.SetFull = func(_ *testing.T, full bool) { driver.SetNoSpace(full) }
		return h
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := t.TempDir()
	d, err := fake.New(fake.Config{Dir: dir})
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, d.Close()) })
	if _, err := fake.New(fake.Config{Dir: dir}); err == nil {
		t.Fatal("two drivers opened one folder")
	}
	m := hypervisor.Definition{
		ID: vmtest.NewID(), InstanceSeq: 1, VCPUs: 1, MemoryMiB: 64, DiskBytes: 4 << 20,
		BaseImage: "/base", BaseFormat: hypervisor.FormatRaw, DiskKey: vmtest.NewKey(),
	}
	testkit.Check(t, d.Define(ctx, m))
	testkit.Check(t, d.CreateDisk(ctx, m.Root()))

	d.FailStarts(m.ID, 1)
	if err := d.Start(ctx, m.ID, m.DiskKey); err == nil || errors.Is(err, hypervisor.ErrNoSpace) {
		t.Fatalf("failing start: %v", err)
	}
	if info, err := d.Inspect(ctx, m.ID); err != nil || info.StopReason != hypervisor.StopStartFailed {
		t.Fatalf("after a failing start: %+v, %v", info, err)
	}
	d.SetNoSpace(true)
	if err := d.Start(ctx, m.ID, m.DiskKey); !errors.Is(err, hypervisor.ErrNoSpace) {
		t.Fatalf("start on a full disk: %v", err)
	}
	d.SetNoSpace(false)
	testkit.Check(t, d.Start(ctx, m.ID, m.DiskKey))
	testkit.Check(t, d.PauseForSpace(m.ID))
	if info, err := d.Inspect(ctx, m.ID); err != nil || info.PauseReason != hypervisor.PauseNoSpace {
		t.Fatalf("after the disk filled: %+v, %v", info, err)
	}
	testkit.Check(t, d.Resume(ctx, m.ID))
	testkit.Check(t, d.KillProcess(m.ID))
	if err := d.KillProcess(m.ID); !errors.Is(err, hypervisor.ErrState) {
		t.Fatalf("kill a dead process: %v", err)
	}
}

// A guest that powers itself off from inside its own function must not wait
// for itself.
func TestGuestPowersItselfOff(t *testing.T) {
	t.Parallel()
	var d *fake.Driver
	ready := make(chan struct{})
	ended := make(chan error, 1)
	d, err := fake.New(fake.Config{Dir: t.TempDir(), Guest: func(ctx context.Context, m hypervisor.Definition, _ net.Conn) {
		<-ready
		ended <- d.PowerOff(m.ID)
		<-ctx.Done()
	}})
	testkit.Check(t, err)
	close(ready)
	t.Cleanup(func() { testkit.Check(t, d.Close()) })
	m := hypervisor.Definition{
		ID: vmtest.NewID(), InstanceSeq: 1, VCPUs: 1, MemoryMiB: 64, DiskBytes: 4 << 20,
		BaseImage: "/base", BaseFormat: hypervisor.FormatRaw, DiskKey: vmtest.NewKey(),
	}
	testkit.Check(t, d.Define(t.Context(), m))
	testkit.Check(t, d.CreateDisk(t.Context(), m.Root()))
	testkit.Check(t, d.Start(t.Context(), m.ID, m.DiskKey))
	testkit.Check(t, <-ended)
	if info, err := d.Inspect(t.Context(), m.ID); err != nil || info.StopReason != hypervisor.StopGuest {
		t.Fatalf("after the power-off: %+v, %v", info, err)
	}
}
