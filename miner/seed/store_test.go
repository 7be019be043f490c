package seed_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/seed"
)

func TestStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".new-crash"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	group := os.Getgid()
	if os.Geteuid() == 0 {
		group = 54321 // another's, as the hypervisor's is
	}
	st, err := seed.NewStore(seed.Config{Dir: dir, Group: group, AnyFilesystem: true})
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		path, err := st.Put(sample())
		if err != nil {
			t.Fatal(err)
		}
		first = path
	}
	info, err := os.Stat(first)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); !ok || int(sys.Gid) != group || int(sys.Uid) != os.Getuid() {
		t.Errorf("belongs to %d:%d, want %d:%d", sys.Uid, sys.Gid, os.Getuid(), group)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the folder has mode %v, %v; want 0750", info.Mode(), err)
	}
	victim := filepath.Join(filepath.Dir(dir), "victim.iso")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := st.Remove("../victim"); err == nil {
		t.Error("a path was taken for a VM's id")
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error("a file outside the folder was removed")
	}
	if ids, err := st.List(); err != nil || len(ids) != 1 || ids[0] != testVM {
		t.Errorf("list %v, %v", ids, err)
	}
	for range 2 {
		if err := st.Remove(testVM); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStoreWantsTmpfs(t *testing.T) {
	t.Parallel()
	const tmpfs = "/dev/shm"
	if _, err := os.Stat(tmpfs); err != nil {
		t.Skipf("no %s here: %v", tmpfs, err)
	}
	dir, err := os.MkdirTemp(tmpfs, "seed-test-*") //nolint:usetesting // has to be on a tmpfs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if _, err := seed.NewStore(seed.Config{Dir: dir, Group: -1}); err != nil {
		t.Errorf("on tmpfs: %v", err)
	}
	if _, err := seed.NewStore(seed.Config{Dir: "/proc", Group: -1}); !errors.Is(err, seed.ErrNotTmpfs) {
		t.Errorf("elsewhere: %v, want ErrNotTmpfs", err)
	}
}

// TestFolderIsUnmounted: the folder's path leads to a disk since the store was opened. No secret is written there; the store
// has a tmpfs mounted again, and goes on.
func TestFolderIsUnmounted(t *testing.T) {
	t.Parallel()
	memory, disk := testkit.MemoryDir(t), t.TempDir()
	for path, want := range map[string]bool{memory: true, disk: false} {
		if _, err := seed.NewStore(seed.Config{Dir: filepath.Join(path, "probe"), Group: -1}); (err == nil) != want {
			t.Skipf("the test needs a tmpfs and a disk: %s: %v", path, err)
		}
	}
	dir := filepath.Join(disk, "seeds") // leads to the tmpfs at first
	mount := func() error {
		return errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(memory, "seeds"), 0o755), os.Symlink(filepath.Join(memory, "seeds"), dir))
	}
	if err := mount(); err != nil {
		t.Fatal(err)
	}
	unmount := func() {
		t.Helper()
		if err := errors.Join(os.Remove(dir), os.Mkdir(dir, 0o755), os.RemoveAll(filepath.Join(memory, "seeds"))); err != nil {
			t.Fatal(err)
		}
	}
	store := func(prepare func() error) *seed.Store {
		t.Helper()
		s, err := seed.NewStore(seed.Config{Dir: dir, Group: -1, Prepare: prepare})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	alone, mends := store(nil), store(mount)
	unmount()
	if _, err := alone.Put(sample()); !errors.Is(err, seed.ErrNotTmpfs) {
		t.Errorf("written to a disk: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
	path, err := mends.Put(sample())
	if err != nil {
		t.Fatal(err)
	}
	if at, err := filepath.EvalSymlinks(path); err != nil || !strings.HasPrefix(at, memory) {
		t.Errorf("the seed is at %s, %v", at, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the folder has mode %v, %v; want 0750", info.Mode(), err)
	}
	// The folder may be gone altogether.
	if err := errors.Join(os.Remove(dir), os.RemoveAll(filepath.Join(memory, "seeds"))); err != nil {
		t.Fatal(err)
	}
	if ids, err := mends.List(); err != nil || len(ids) != 0 {
		t.Errorf("list: %v, %v", ids, err)
	}
	if _, err := mends.Put(sample()); err != nil {
		t.Error(err)
	}
}

func TestAgentISO(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	agent := filepath.Join(dir, "bin")
	if err := os.WriteFile(agent, bytes.Repeat([]byte("agent"), 5000), 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := seed.AgentISO(filepath.Join(dir, "iso"), agent, []byte("#!/bin/sh\n"))
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	label, files := read(t, image)
	if label != wire.AgentLabel || len(files[wire.AgentFile]) != 25000 || len(files[wire.InstallFile]) == 0 {
		t.Errorf("label %q, %d files", label, len(files))
	}
	again, err := seed.AgentISO(filepath.Join(dir, "iso"), agent, []byte("#!/bin/sh\n"))
	if err != nil || again != path {
		t.Errorf("again: %s, %v; want %s", again, err, path)
	}
	other, err := seed.AgentISO(filepath.Join(dir, "iso"), agent, []byte("#!/bin/sh\n:\n"))
	if err != nil || other == path {
		t.Errorf("another script: %s, %v; want another path", other, err)
	}
}

// The reference implementation of the format agrees, names included.
