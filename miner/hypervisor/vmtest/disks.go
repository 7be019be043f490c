package vmtest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

func full(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.Definition(t, false)
	h.destroyLater(t, m.ID)
	must(t, "define", h.Driver.Define(ctx, m))
	h.SetFull(t, true)
	if err := h.Driver.CreateDisk(ctx, m.Root()); !errors.Is(err, hypervisor.ErrNoSpace) {
		t.Fatalf("create disk on a full disk: %v, want ErrNoSpace", err)
	}
	h.hasDisk(t, m.ID, false)
	h.SetFull(t, false)
	must(t, "create disk", h.Driver.CreateDisk(ctx, m.Root()))
	h.hasDisk(t, m.ID, true)
	h.boot(t, m, 1)
}

func (h *Harness) hasDisk(t *testing.T, id vm.ID, want bool) {
	t.Helper()
	has, err := h.Driver.HasDisk(t.Context(), hypervisor.Root(id))
	must(t, "has disk", err)
	if has != want {
		t.Fatalf("has disk: %v, want %v", has, want)
	}
}

// hasBase wants the base image of the one disk to be listed.
func (h *Harness) hasBase(t *testing.T, base string) {
	t.Helper()
	bases, err := h.Driver.BaseImages(t.Context())
	must(t, "base images", err)
	if !slices.Contains(bases, base) {
		t.Fatalf("base images %q, want %q among them", bases, base)
	}
}

func resizeAndTrash(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.create(t, false)
	must(t, "grow", h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes+1<<20, m.DiskKey))
	must(t, "keep", h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes+1<<20, m.DiskKey))
	if err := h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes, m.DiskKey); !errors.Is(err, hypervisor.ErrInvalid) {
		t.Fatalf("shrink: %v, want ErrInvalid", err)
	}
	if err := h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes+2<<20, NewKey()); !errors.Is(err, hypervisor.ErrWrongKey) {
		t.Fatalf("grow with another key: %v, want ErrWrongKey", err)
	}
	h.boot(t, m, 1)
	must(t, "grow while running, which has the key", h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes+2<<20, nil))
	if err := h.Driver.TrashDisk(ctx, hypervisor.Root(m.ID)); !errors.Is(err, hypervisor.ErrState) {
		t.Fatalf("trash the disk of a running VM: %v, want ErrState", err)
	}
	if err := h.Driver.RestoreDisk(ctx, hypervisor.Root(m.ID)); !errors.Is(err, hypervisor.ErrState) {
		t.Fatalf("restore over a disk: %v, want ErrState", err)
	}
	h.stop(t, m.ID, hypervisor.MannerGuest)
	if err := h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes+1<<20, m.DiskKey); !errors.Is(err, hypervisor.ErrInvalid) {
		t.Fatalf("what was grown while running did not stay: %v, want ErrInvalid", err)
	}

	h.hasBase(t, m.BaseImage)
	before := h.space(t)
	must(t, "trash", h.Driver.TrashDisk(ctx, hypervisor.Root(m.ID)))
	h.movedToTrash(t, m.ID, before)
	h.hasBase(t, m.BaseImage) // it may be restored
	must(t, "trash again", h.Driver.TrashDisk(ctx, hypervisor.Root(m.ID)))
	h.hasDisk(t, m.ID, false)
	must(t, "restore", h.Driver.RestoreDisk(ctx, hypervisor.Root(m.ID)))
	h.hasDisk(t, m.ID, true)
	must(t, "trash", h.Driver.TrashDisk(ctx, hypervisor.Root(m.ID)))
	h.swept(t, time.Now().Add(-hypervisor.TrashPeriod), 0)
	other := h.space(t).Trash[0]
	other.At = other.At.Add(-time.Nanosecond)
	must(t, "discard what is not there", h.Driver.Discard(ctx, other))
	h.swept(t, time.Now().Add(time.Second), 1)
	h.swept(t, time.Now().Add(time.Second), 0)
	if err := h.Driver.RestoreDisk(ctx, hypervisor.Root(m.ID)); !errors.Is(err, hypervisor.ErrNoDisk) {
		t.Fatalf("restore from an empty trash: %v, want ErrNoDisk", err)
	}
}

// twoDisks are made, grown, trashed and restored each by itself, and go together.
func twoDisks(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.create(t, false)
	second := m.Root()
	second.Name, second.Key = "data-1", NewKey()
	id := second.DiskID
	has := func(disk hypervisor.DiskID, want bool) {
		t.Helper()
		got, err := h.Driver.HasDisk(ctx, disk)
		must(t, "has disk", err)
		if got != want {
			t.Fatalf("has %s: %v, want %v", disk, got, want)
		}
	}
	has(id, false)
	must(t, "create", h.Driver.CreateDisk(ctx, second))
	must(t, "create again", h.Driver.CreateDisk(ctx, second))
	must(t, "grow", h.Driver.ResizeDisk(ctx, id, second.Bytes+1<<20, second.Key))
	if err := h.Driver.ResizeDisk(ctx, id, second.Bytes+2<<20, m.DiskKey); !errors.Is(err, hypervisor.ErrWrongKey) {
		t.Fatalf("grow with the other disk's key: %v, want ErrWrongKey", err)
	}
	must(t, "keep the root as it was", h.Driver.ResizeDisk(ctx, hypervisor.Root(m.ID), m.DiskBytes, m.DiskKey))

	must(t, "trash the second", h.Driver.TrashDisk(ctx, id))
	has(id, false)
	has(hypervisor.Root(m.ID), true)
	must(t, "trash the root", h.Driver.TrashDisk(ctx, hypervisor.Root(m.ID)))
	must(t, "restore the second", h.Driver.RestoreDisk(ctx, id))
	has(id, true)
	has(hypervisor.Root(m.ID), false)
	must(t, "restore the root", h.Driver.RestoreDisk(ctx, hypervisor.Root(m.ID)))
	if err := h.Driver.ResizeDisk(ctx, id, second.Bytes, second.Key); !errors.Is(err, hypervisor.ErrInvalid) {
		t.Fatalf("another disk came back: %v, want ErrInvalid", err)
	}
	h.boot(t, m, 1)
	h.stop(t, m.ID, hypervisor.MannerGuest)

	must(t, "destroy", h.Driver.Destroy(ctx, m.ID))
	has(id, false)
	has(hypervisor.Root(m.ID), false)
	must(t, "restore one", h.Driver.RestoreDisk(ctx, id))
	has(hypervisor.Root(m.ID), false)
	must(t, "restore the other", h.Driver.RestoreDisk(ctx, hypervisor.Root(m.ID)))
	must(t, "destroy what is not defined", h.Driver.Destroy(ctx, m.ID))
	has(id, false)

	for _, name := range []string{"", "../root", "Root", "a.b", "-", "a+b", "x" + string(make([]byte, 40))} {
		bad := second
		bad.Name = name
		if err := h.Driver.CreateDisk(ctx, bad); !errors.Is(err, hypervisor.ErrInvalid) {
			t.Errorf("create a disk named %q: %v, want ErrInvalid", name, err)
		}
		if err := h.Driver.TrashDisk(ctx, bad.DiskID); !errors.Is(err, hypervisor.ErrInvalid) {
			t.Errorf("trash a disk named %q: %v, want ErrInvalid", name, err)
		}
	}
}

func (h *Harness) space(t *testing.T) hypervisor.Space {
	t.Helper()
	s, err := h.Driver.Space(t.Context())
	must(t, "space", err)
	return s
}

// movedToTrash wants what a VM's disk took to be counted in the trash now.
func (h *Harness) movedToTrash(t *testing.T, id vm.ID, before hypervisor.Space) {
	t.Helper()
	after := h.space(t)
	if len(before.Trash) != 0 || before.Free == 0 || before.Used == 0 || len(after.Trash) != 1 {
		t.Fatalf("a disk went to the trash: before %+v, after %+v", before, after)
	}
	d := after.Trash[0]
	if d.VM != id || d.Bytes == 0 || d.Bytes != before.Used-after.Used || time.Since(d.At).Abs() > time.Minute {
		t.Fatalf("in the trash is %+v; %d bytes were used before, and %d after", d, before.Used, after.Used)
	}
}

func (h *Harness) swept(t *testing.T, before time.Time, want int) {
	t.Helper()
	n, err := hypervisor.Sweep(t.Context(), h.Driver, before)
	must(t, "sweep trash", err)
	if n != want {
		t.Fatalf("swept %d disks, want %d", n, want)
	}
}

// refusals asks for what cannot be.
func refusals(t *testing.T, h *Harness) {
	ctx := t.Context()
	absent := NewID()
	_, shutdownErr := h.Driver.Shutdown(ctx, absent, h.Deadline)
	_, rebootErr := h.Driver.Reboot(ctx, absent, h.Deadline)
	_, consoleErr := h.Driver.DialConsole(ctx, absent)
	_, logErr := h.Driver.ConsoleLog(ctx, absent)
	_, channelErr := h.Driver.DialChannel(ctx, absent)
	_, statsErr := h.Driver.Stats(ctx, absent)
	for what, err := range map[string]error{
		"start": h.Driver.Start(ctx, absent, NewKey()), "shutdown": shutdownErr, "reboot": rebootErr,
		"suspend": h.Driver.Suspend(ctx, absent), "resume": h.Driver.Resume(ctx, absent),
		"console": consoleErr, "console log": logErr, "channel": channelErr, "stats": statsErr,
	} {
		if !errors.Is(err, hypervisor.ErrNotFound) {
			t.Errorf("%s of an absent VM: %v, want ErrNotFound", what, err)
		}
	}
	if err := h.Driver.ResizeDisk(ctx, hypervisor.Root(absent), 1<<20, NewKey()); !errors.Is(err, hypervisor.ErrNoDisk) {
		t.Errorf("resize an absent disk: %v, want ErrNoDisk", err)
	}
	must(t, "trash an absent disk", h.Driver.TrashDisk(ctx, hypervisor.Root(absent)))

	m := h.create(t, false)
	for what, err := range map[string]error{
		"suspend": h.Driver.Suspend(ctx, m.ID), "resume": h.Driver.Resume(ctx, m.ID),
	} {
		if !errors.Is(err, hypervisor.ErrState) {
			t.Errorf("%s of a stopped VM: %v, want ErrState", what, err)
		}
	}

	bad := m
	bad.VCPUs = 0
	sizeless := m.Root()
	sizeless.Name, sizeless.Bytes = "data", 0
	keyless := h.Definition(t, false)
	keyless.DiskKey = keyless.DiskKey[:5]
	for what, err := range map[string]error{
		"define without vcpus":       h.Driver.Define(ctx, bad),
		"create disk without size":   h.Driver.CreateDisk(ctx, sizeless),
		"create disk with short key": h.Driver.CreateDisk(ctx, keyless.Root()),
	} {
		if !errors.Is(err, hypervisor.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}

	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.Driver.Shutdown(gone, m.ID, 0); err == nil && h.inspect(t, m.ID).State != hypervisor.StateStopped {
		t.Error("a call whose context has ended did something")
	}
	host, err := h.Driver.Host(ctx)
	must(t, "host", err)
	if host.Evidence == "" || host.Hypervisor == "" || (host.Acceleration != hypervisor.AccelKVM && host.Acceleration != hypervisor.AccelTCG) {
		t.Errorf("host %+v", host)
	}
}
