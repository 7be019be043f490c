package guest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/guest"
)

// rooted makes a VM whose root lies on a device, with programs that write
// down how they were called.
func rooted(t *testing.T, mount string, sectors map[string]string, tools ...string) (*guest.System, func() string) {
	t.Helper()
	root := t.TempDir()
	write(t, root, "proc/self/mountinfo", "20 1 0:5 / /proc rw - proc proc rw\n"+mount+"\n")
	for file, value := range sectors {
		write(t, root, "sys/class/block/"+file, value+"\n")
	}
	for _, tool := range tools {
		name, status, _ := strings.Cut(tool, "=")
		write(t, root, "usr/sbin/"+name, "#!/bin/sh\necho \"$(basename $0) $*\" >>"+root+"/calls\ncat >>"+root+"/calls\nexit "+status+"\n")
		if err := os.Chmod(filepath.Join(root, "usr/sbin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The scripts are the host's shell's.
	if err := os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"basename", "cat"} {
		if err := os.Symlink("/usr/bin/"+name, filepath.Join(root, "usr/bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return &guest.System{Root: root}, func() string {
		calls, err := os.ReadFile(filepath.Join(root, "calls"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(calls)
	}
}

const ext4 = "25 1 254:2 / / rw,noatime shared:1 - ext4 /dev/vda2 rw"

// A disk of 3 GiB of which the root has one, from the second MiB on.
func grown() map[string]string {
	return map[string]string{"vda/size": "6291456", "vda2/partition": "2", "vda2/start": "4096", "vda2/size": "2097152"}
}

func TestGrow(t *testing.T) {
	t.Parallel()
	full := grown()
	full["vda2/size"] = "6285000"
	for name, c := range map[string]struct {
		mount   string
		sectors map[string]string
		tools   []string
		calls   string
	}{
		"with growpart":      {ext4, grown(), []string{"growpart", "sfdisk", "resize2fs"}, "growpart /dev/vda 2\nresize2fs /dev/vda2\n"},
		"nothing to be had":  {ext4, grown(), []string{"growpart=1", "resize2fs"}, "growpart /dev/vda 2\nresize2fs /dev/vda2\n"},
		"without growpart":   {ext4, grown(), []string{"sfdisk", "partx", "resize2fs"}, "sfdisk --quiet --no-reread --no-tell-kernel -N 2 /dev/vda\n, +\npartx -u -n 2 /dev/vda\nresize2fs /dev/vda2\n"},
		"partition is large": {ext4, full, []string{"growpart", "resize2fs"}, "resize2fs /dev/vda2\n"},
		"whole disk": {
			"25 1 254:0 / / rw - xfs /dev/vda rw", map[string]string{"vda/size": "6291456"}, []string{"xfs_growfs"}, "xfs_growfs /\n",
		},
		"other names": {
			"25 1 0:29 /@ / rw - btrfs /dev/nvme0n1p1 rw",
			map[string]string{"nvme0n1/size": "6291456", "nvme0n1p1/partition": "1", "nvme0n1p1/start": "2048", "nvme0n1p1/size": "4096"},
			[]string{"growpart", "btrfs"},
			"growpart /dev/nvme0n1 1\nbtrfs filesystem resize max /\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, calls := rooted(t, c.mount, c.sectors, c.tools...)
			r, err := m.FindRoot()
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Grow(t.Context(), r); err != nil || calls() != c.calls {
				t.Errorf("%v, called\n%swant\n%s", err, calls(), c.calls)
			}
			write(t, m.Root, "etc/growroot-disabled", "")
			if err := m.Grow(t.Context(), r); err != nil || calls() != c.calls {
				t.Errorf("grown against the image's word: %v\n%s", err, calls())
			}
		})
	}
}

func TestGrowSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mount string
		tools []string
		want  string
	}{
		"no tool":            {ext4, nil, "no sfdisk"},
		"no filesystem tool": {ext4, []string{"growpart"}, "no resize2fs"},
		"growpart fails":     {ext4, []string{"growpart=2", "resize2fs"}, "exit status 2"},
		"resize2fs fails":    {ext4, []string{"growpart", "resize2fs=1"}, "grow filesystem on vda2"},
		"unknown":            {strings.ReplaceAll(ext4, "ext4", "zfs"), []string{"growpart"}, "zfs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := rooted(t, c.mount, grown(), c.tools...)
			r, err := m.FindRoot()
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Grow(t.Context(), r); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	m, _ := rooted(t, "25 1 0:30 / / rw - overlay overlay rw", nil)
	if r, err := m.FindRoot(); err == nil {
		t.Errorf("a root without a disk is on %+v", r)
	}
}

// The agent notices a disk that grows, tries until the root has followed, and
// leaves alone what was as large when it came.
func TestAgentFollowsTheDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, followsTheDisk)
}

func followsTheDisk(t *testing.T) {
	t.Helper()
	m, calls := rooted(t, ext4, grown(), "growpart=2", "resize2fs")
	cfg, _ := testConfig(t)
	writeSeed(t, filepath.Join(m.Root, "dev/disk/by-label/CIDATA"), "CIDATA", cfg)
	b := startAgentAt(t, m.Root)
	get(t, "join", b.joins)
	time.Sleep(time.Minute)
	synctest.Wait() // it has looked many times
	if calls() != "" {
		t.Fatalf("grown without cause: %s", calls())
	}
	write(t, m.Root, "sys/class/block/vda/size", "8388608\n")
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %s within 10 s; called\n%s", what, calls())
			}
		}
	}
	until("second attempt", func() bool { return strings.Count(calls(), "growpart") >= 2 })
	if strings.Contains(calls(), "resize2fs") {
		t.Error("the filesystem was grown without its partition")
	}
	write(t, m.Root, "usr/sbin/growpart", "#!/bin/sh\nexit 0\n")
	until("growth", func() bool { return strings.HasSuffix(calls(), "resize2fs /dev/vda2\n") })
}
