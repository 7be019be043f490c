package agent_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/seed"
)

// smallDisk mounts a filesystem of a few MiB for some of the world's folders: the agent's state, its images and its
// seeds. The hypervisor's is another.
func smallDisk(t *testing.T, w *world, bytes int) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts a small filesystem to fill: as root, in CI and in `sudo make test`")
	}
	dir = filepath.Join(w.dir, "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Fatalf("mount: %v", err)
	}
	if err := errors.Join(w.db.Close(), os.Rename(filepath.Join(w.dir, "state.db"), filepath.Join(w.dir, "unused.db"))); err != nil {
		t.Fatal(err)
	}
	w.images.Close()
	w.stateDir = dir
	w.openState()
	var err error
	if w.images, err = image.New(image.Config{Dir: filepath.Join(dir, "images"), AllowFile: true, MaxBytes: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if w.seeds, err = seed.NewStore(seed.Config{Dir: filepath.Join(dir, "seeds"), Group: -1, AnyFilesystem: true}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fill takes all that is free in a folder; the func it returns gives it back.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// The disk fills up in the middle of a download: the VM that wanted the image is given back with the reason, no part of
// the image stays, and the VM that runs does not notice.
func TestDiskFullInADownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := smallDisk(t, w, 8<<20)
	t.Cleanup(func() { unmount(t, w, dir) })
	w.startAgent()
	runs := w.newVM()
	w.until("running", func() bool { return w.runs(runs) })
	before := w.process(runs)

	big := bytes.Repeat([]byte("big image "), 200_000)
	begun, full := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", fmt.Sprint(len(big)))
		_, _ = rw.Write(big[:len(big)/2])
		if f, ok := rw.(http.Flusher); ok {
			f.Flush()
		}
		close(begun)
		<-full
		_, _ = rw.Write(big[len(big)/2:])
	}))
	defer s.Close()
	sum := sha256.Sum256(big)
	w.catalogue.add(plan.Image{Name: "big", URLs: []string{s.URL}, SHA256: sum[:], SizeBytes: uint64(len(big)), Format: "raw"})
	id := w.newVM()
	w.chain.Change(id, func(v *vm.VM) { v.Spec.Image = "big" })
	<-begun
	free := fill(t, dir)
	close(full)
	w.until("given back", func() bool { return w.chain.Saw(id, "failed "+agent.ReasonNoSpace) })
	if parts, err := filepath.Glob(filepath.Join(dir, "images", "*.part")); err != nil || len(parts) != 0 {
		t.Errorf("parts of images stay: %v, %v", parts, err)
	}
	w.until("nothing of it is here", func() bool { return len(w.vmAndDisk(id)) == 0 })
	w.provesOn(runs)
	if got := w.process(runs); got != before {
		t.Errorf("%s became %s", before, got)
	}
	free()
}

// The disk that holds the agent's own state is full: what runs runs on and is proven, what cannot be noted is not done,
// and a new VM goes elsewhere.
func TestDiskFullUnderTheState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := smallDisk(t, w, 4<<20)
	t.Cleanup(func() { unmount(t, w, dir) })
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	before := w.process(id)
	free := fill(t, dir)
	w.provesOn(id)
	fresh := w.newVM()
	w.provesOn(id)
	// An agent that starts on a full disk takes it over all the same.
	w.stopAgent()
	w.startAgent()
	w.provesOn(id)
	if got := w.process(id); got != before {
		t.Errorf("%s became %s", before, got)
	}
	free()
	// It was given back for want of space, to be placed elsewhere, or was not even noted, and comes up now.
	back := func() bool { return w.chain.Saw(fresh, "failed "+agent.ReasonNoSpace) }
	w.until("the new one runs here, or not at all", func() bool { return back() || w.runs(fresh) })
	w.order(id, vm.Stop)
	w.untilPhase(id, vm.Stopped)
	if has, err := w.driver.HasDisk(t.Context(), hypervisor.Root(id)); err != nil || !has {
		t.Errorf("its disk is gone: %v", err)
	}
	w.order(id, vm.Terminate)
	w.untilPhase(id, vm.Terminated)
	w.until("nothing is left", func() bool { return len(w.vmAndDisk(id)) == 0 && (!back() || len(w.leftovers(fresh)) == 0) })
}

// unmount after all that uses it has ended.
func unmount(t *testing.T, w *world, dir string) {
	t.Helper()
	w.stopAgent()
	w.images.Close()
	if err := w.db.Close(); err != nil {
		t.Error(err)
	}
	w.stateDir = w.dir
	w.openState() // the world closes one
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Errorf("unmount: %v", err)
	}
}
