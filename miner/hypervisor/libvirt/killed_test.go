package libvirt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/crashpoint"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// childDoes is the environment variable that makes this test's program a driver for one task, as JSON.
const childDoes = "LIBVIRT_TEST_CHILD"

// task is what a driver is to do with a VM.
type task struct {
	Do         string
	Config     libvirt.Config
	Definition hypervisor.Definition
	Key        []byte
}

func child(text string) error {
	var e task
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	d, err := libvirt.New(context.Background(), e.Config)
	if err != nil {
		return err
	}
	e.Definition.DiskKey = e.Key
	return errors.Join(e.run(context.Background(), d), d.Close())
}

const deadline = 30 * time.Second

// run does it as an agent would: what has been done is not done again.
func (e task) run(ctx context.Context, d *libvirt.Driver) error {
	id := e.Definition.ID
	switch e.Do {
	case "disk":
		return d.CreateDisk(ctx, e.Definition.Root())
	case "up":
		if err := errors.Join(d.Define(ctx, e.Definition), d.CreateDisk(ctx, e.Definition.Root()), d.Start(ctx, id, e.Key)); err != nil {
			return err
		}
		if info, err := d.Inspect(ctx, id); err != nil || info.State != hypervisor.StatePaused {
			return err
		}
		return d.Resume(ctx, id)
	case "reboot", "reset":
		timeout := deadline
		if e.Do == "reset" {
			timeout = 0
		}
		_, err := d.Reboot(ctx, id, timeout)
		return err
	case "off":
		_, err := d.Shutdown(ctx, id, deadline)
		return err
	case "cut":
		_, err := d.Shutdown(ctx, id, 0)
		return err
	case "destroy":
		return d.Destroy(ctx, id)
	case "grow":
		return d.ResizeDisk(ctx, hypervisor.Root(id), e.Definition.DiskBytes+1<<20, e.Key)
	case "restore":
		if has, err := d.HasDisk(ctx, hypervisor.Root(id)); has || err != nil {
			return err
		}
		return d.RestoreDisk(ctx, hypervisor.Root(id))
	case "sweep":
		_, err := hypervisor.Sweep(ctx, d, time.Now())
		return err
	default:
		return errors.ErrUnsupported
	}
}

// twice has another process die at a point of a task, and a driver that is opened after it do it.
func (b *bench) twice(t *testing.T, point, do string, m hypervisor.Definition) {
	t.Helper()
	testkit.Check(t, b.driver.Close())
	e := task{Do: do, Config: b.cfg, Definition: m, Key: m.DiskKey}
	e.Config.Log = nil
	text, err := json.Marshal(e)
	testkit.Check(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDoes+"="+string(text), fault.Env+"="+point+"=kill")
	out, err := cmd.CombinedOutput()
	killed := false
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, ok := exit.Sys().(syscall.WaitStatus)
		killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	}
	if !killed {
		t.Errorf("%s: nobody died at %s: %v: %s", do, point, err, out)
	}
	b.open(t)
	testkit.Check(t, e.run(t.Context(), b.driver))
}

// A driver's process is killed with -9 at every point of every call. The next one's call does the rest: one VM, one
// disk, one start; no key of a disk stays in libvirtd, and no half of anything on the disk.
func TestKilledAnywhere(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "k1")
	testkit.Check(t, b.driver.Close())
	b.cfg.Accel = libvirt.AccelTCG // without a probe each time
	b.open(t)
	untried := crashpoint.Of("libvirt")
	at := func(point, do string, m hypervisor.Definition) {
		t.Helper()
		untried = slices.DeleteFunc(untried, func(p string) bool { return p == "libvirt."+point })
		b.twice(t, "libvirt."+point, do, m)
	}
	booted := func(m hypervisor.Definition, n int) {
		t.Helper()
		b.await(t, vmtest.BootLine(n), func() bool {
			log, err := b.driver.ConsoleLog(t.Context(), m.ID)
			return err == nil && bytes.Contains(log, []byte(vmtest.BootLine(n)))
		})
		info, err := b.driver.Inspect(t.Context(), m.ID)
		testkit.Check(t, err)
		if info.State != hypervisor.StateRunning {
			t.Errorf("it is %s", info.State)
		}
		b.await(t, "libvirtd to forget the key", func() bool { return strings.TrimSpace(b.virsh(t, "secret-list")) == "" })
		if log, err := b.driver.ConsoleLog(t.Context(), m.ID); err != nil || bytes.Contains(log, []byte(vmtest.BootLine(n+1))) {
			t.Errorf("it was booted once more: %v", err)
		}
		b.wantDisk(t)
	}
	trashed := func(m hypervisor.Definition, want int) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(b.cfg.StateDir, "trash", string(m.ID)+".*"))
		testkit.Check(t, err)
		if len(found) != want {
			t.Errorf("in the trash: %v, want %d of VM %s", found, want, m.ID)
		}
	}
	gone := func(m hypervisor.Definition) {
		t.Helper()
		trashed(m, 1)
		if list := b.virsh(t, "list", "--all", "--name"); strings.Contains(list, string(m.ID)) {
			t.Errorf("still defined: %s", list)
		}
		for _, dir := range []string{filepath.Join(b.cfg.StateDir, "machines"), b.cfg.RunDir, filepath.Join(b.cfg.StateDir, "disks")} {
			entries, err := os.ReadDir(dir)
			testkit.Check(t, err)
			if len(entries) != 0 {
				t.Errorf("left in %s: %v", dir, entries)
			}
		}
	}

	// A disk that has grown does not shrink.
	grown := func(m hypervisor.Definition) {
		t.Helper()
		if err := b.driver.ResizeDisk(t.Context(), hypervisor.Root(m.ID), m.DiskBytes, m.DiskKey); !errors.Is(err, hypervisor.ErrInvalid) {
			t.Errorf("the disk did not grow: %v", err)
		}
		b.wantDisk(t)
	}

	// Disks.
	for _, point := range []string{"disk_begun", "disk_written", "disk_named"} {
		m := b.definition(t, false)
		at(point, "disk", m)
		b.wantDisk(t)
		testkit.Check(t, b.driver.TrashDisk(t.Context(), hypervisor.Root(m.ID)))
	}
	m := b.definition(t, false)
	testkit.Check(t, b.driver.CreateDisk(t.Context(), m.Root()))
	testkit.Check(t, b.driver.TrashDisk(t.Context(), hypervisor.Root(m.ID)))
	at("restored", "restore", m)
	b.wantDisk(t)
	trashed(m, 0)
	at("disk_grown", "grow", m)
	grown(m)
	testkit.Check(t, b.driver.TrashDisk(t.Context(), hypervisor.Root(m.ID)))
	at("swept", "sweep", m)
	trashed(m, 0)

	// Up, from nothing each time.
	for _, point := range []string{"dir_made", "defined", "secret_set", "created", "limited", "resumed", "seen_written"} {
		m := b.definition(t, false)
		at(point, "up", m)
		booted(m, 1)
		if point == "seen_written" { // the last one goes on
			at("disk_grown", "grow", m)
			grown(m)
			booted(m, 1)
			at("asked_reboot", "reboot", m)
			b.await(t, "a boot", func() bool { // asked twice, it reboots once or twice
				log, err := b.driver.ConsoleLog(t.Context(), m.ID)
				return err == nil && bytes.Contains(log, []byte(vmtest.BootLine(2)))
			})
			at("reset", "reset", m)
			at("asked_off", "off", m)
			b.wantState(t, m, hypervisor.StateStopped)
			testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
			at("forced", "cut", m)
			b.wantState(t, m, hypervisor.StateStopped)
			testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
			at("killed", "destroy", m)
			gone(m)
			continue
		}
		testkit.Check(t, b.driver.Destroy(t.Context(), m.ID))
		gone(m)
	}

	// Gone.
	for _, point := range []string{"undefined", "trashed", "removed"} {
		m := b.definition(t, false)
		testkit.Check(t, errors.Join(b.driver.Define(t.Context(), m), b.driver.CreateDisk(t.Context(), m.Root())))
		at(point, "destroy", m)
		gone(m)
	}
	if len(untried) != 0 {
		t.Errorf("nobody was killed at %v", untried)
	}
}

// wantDisk looks that there is one disk, and that it is whole.
func (b *bench) wantDisk(t *testing.T) {
	t.Helper()
	var found []string
	testkit.Check(t, filepath.WalkDir(filepath.Join(b.cfg.StateDir, "disks"), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	if len(found) != 1 || slices.ContainsFunc(found, func(p string) bool { return filepath.Base(p) != "root.qcow2" }) {
		t.Errorf("disks %v, want one", found)
	}
}

func (b *bench) wantState(t *testing.T, m hypervisor.Definition, want hypervisor.State) {
	t.Helper()
	info, err := b.driver.Inspect(t.Context(), m.ID)
	testkit.Check(t, err)
	if info.State != want {
		t.Errorf("VM is %s, want %s", info.State, want)
	}
}
