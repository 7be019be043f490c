package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// start makes and boots a VM and has it destroyed after the test.
func (b *bench) start(t *testing.T, m hypervisor.Definition) {
	t.Helper()
	testkit.Check(t, b.driver.Define(t.Context(), m))
	t.Cleanup(func() { testkit.Check(t, b.driver.Destroy(context.Background(), m.ID)) })
	testkit.Check(t, b.driver.CreateDisk(t.Context(), m.Root()))
	testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
	b.await(t, vmtest.BootLine(1), func() bool {
		log, err := b.driver.ConsoleLog(t.Context(), m.ID)
		testkit.Check(t, err)
		return bytes.Contains(log, []byte(vmtest.BootLine(1)))
	})
}

func (b *bench) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Within(t, time.Minute, what, ok)
}

func (b *bench) virsh(t *testing.T, args ...string) string {
	t.Helper()
	out, err := b.lab.Command(t.Context(), append([]string{"virsh", "-q", "-c", "qemu:///system"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("virsh %v: %v: %s", args, err, out)
	}
	return string(out)
}

// inside runs a shell command in the lab.
func inside(t *testing.T, lab *netlab.Lab, script string, args ...string) string {
	t.Helper()
	out, err := lab.Command(t.Context(), append([]string{"bash", "-c", script, "bash"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestVM looks at one running VM from outside: what confines it, and
// what can be learned about its key.
func TestVM(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "m1")
	m := b.definition(t, false)
	m.Seed = filepath.Join(b.files, "seed.iso")
	writeISO(t, m.Seed, "CIDATA", map[string]string{"meta-data": "x"})
	testkit.Check(t, os.Chmod(m.Seed, 0o640))
	// The guest reads the second sector and writes it back.
	base, err := os.ReadFile(m.BaseImage)
	testkit.Check(t, err)
	copy(base[514:], onDisk)
	testkit.Check(t, os.WriteFile(m.BaseImage, base, 0o644)) //nolint:gosec // QEMU's user reads it
	stop := watchArguments(t, forms(m.DiskKey))
	b.start(t, m)
	told, programs := stop()
	if !programs["qemu-system-x86_64"] {
		t.Errorf("the VM's process was not seen, but %v", programs)
	}
	for _, f := range told {
		t.Error(f)
	}
	name := "hip-m1-" + string(m.ID)
	info, err := b.driver.Inspect(t.Context(), m.ID)
	testkit.Check(t, err)
	pid := inside(t, lab, `cat /run/libvirt/qemu/"$1".pid`, name)

	t.Run("Confined", func(t *testing.T) {
		status := inside(t, lab, `cat /proc/"$1"/status`, pid)
		if !strings.Contains(status, "Seccomp:\t2") {
			t.Error("no seccomp filter")
		}
		if user := inside(t, lab, `stat -c %U /proc/"$1"`, pid); user != "libvirt-qemu" {
			t.Errorf("runs as %s", user)
		}
		live := b.virsh(t, "dumpxml", name)
		for _, want := range []string{
			"<hard_limit unit='KiB'>425984</hard_limit>", // 32 MiB of guest, 384 of overhead
			"<quota>100000</quota>", "<total_iops_sec>500</total_iops_sec>", "<total_bytes_sec>50000000</total_bytes_sec>",
			"<nosharepages/>", "<tb-cache unit='KiB'>131072</tb-cache>", "engine='qemu'", "network_bits_per_second=\"100000000\"",
		} {
			if !strings.Contains(live, want) && !strings.Contains(live, strings.ReplaceAll(want, `"`, `'`)) {
				t.Errorf("the domain lacks %s:\n%s", want, live)
			}
		}
		// What the domain says has to have reached the kernel.
		limit := inside(t, lab, `g=$(grep -E '^[0-9]+:memory:|^0::' /proc/"$1"/cgroup | head -1 | cut -d: -f3)
g=${g#*/hippius-lab-t-driver} # as it is called inside
cat /sys/fs/cgroup/memory"${g%/emulator}"/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup"${g%/emulator}"/memory.max`, pid)
		if limit != "436207616" {
			t.Errorf("the kernel limits memory to %s", limit)
		}
	})

	t.Run("KeyStaysHidden", func(t *testing.T) {
		if secrets := b.virsh(t, "secret-list"); strings.TrimSpace(secrets) != "" {
			t.Errorf("secrets stay after the start: %s", secrets)
		}
		seen := b.virsh(t, "dumpxml", "--security-info", name) + inside(t, lab, `tr '\0' ' ' </proc/"$1"/cmdline; cat /var/log/libvirt/qemu/*.log`, pid)
		for _, dir := range []string{b.cfg.StateDir, b.cfg.RunDir, lab.LibvirtRunDir()} {
			testkit.Check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					text, readErr := os.ReadFile(path)
					seen, err = seen+string(text), readErr
				}
				return err
			}))
		}
		for what, form := range forms(m.DiskKey) {
			if strings.Contains(seen, form) {
				t.Errorf("the key can be found, %s", what)
			}
		}
	})

	t.Run("SignalIsNotGuest", func(t *testing.T) {
		// The host shutting down ends QEMU with a signal: not the tenant's request.
		b.signal(t, m.ID, "-TERM")
		b.await(t, "the end", func() bool {
			info, err = b.driver.Inspect(t.Context(), m.ID)
			testkit.Check(t, err)
			return !info.State.Alive()
		})
		if info.State != hypervisor.StateCrashed || info.StopReason != hypervisor.StopProcessDied {
			t.Errorf("after a signal the VM is %s (%s)", info.State, info.StopReason)
		}
		// And that is remembered when libvirtd has forgotten it.
		lab.StopLibvirt()
		testkit.Check(t, lab.StartLibvirt(t.Context()))
		b.await(t, "libvirtd", func() bool {
			info, err = b.driver.Inspect(t.Context(), m.ID)
			return err == nil
		})
		if info.State != hypervisor.StateCrashed || info.StopReason != hypervisor.StopProcessDied {
			t.Errorf("after a restart of libvirtd the VM is %s (%s)", info.State, info.StopReason)
		}
	})

	t.Run("AtRest", func(t *testing.T) { b.atRest(t, m) })

	t.Run("NothingStays", func(t *testing.T) {
		testkit.Check(t, b.driver.Destroy(t.Context(), m.ID))
		for _, dir := range []string{"disks", "machines"} {
			left, err := os.ReadDir(filepath.Join(b.cfg.StateDir, dir))
			testkit.Check(t, err)
			if len(left) > 0 {
				t.Errorf("%s holds %v", dir, left)
			}
		}
		if left, err := os.ReadDir(b.cfg.RunDir); err != nil || len(left) > 0 {
			t.Errorf("run dir holds %v, %v", left, err)
		}
		if domains := b.virsh(t, "list", "--all", "--name"); strings.TrimSpace(domains) != "" {
			t.Errorf("domains stay: %s", domains)
		}
	})
}

// TestFullHost fills the disk under a running VM: it pauses, and goes on
// when there is room.
func TestFullHost(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "f1")
	m := b.definition(t, false)
	testkit.Check(t, b.driver.Define(t.Context(), m))
	t.Cleanup(func() { testkit.Check(t, b.driver.Destroy(context.Background(), m.ID)) })
	testkit.Check(t, b.driver.CreateDisk(t.Context(), m.Root()))
	fill(t, true)
	empty := sync.OnceFunc(func() { fill(t, false) })
	defer empty()
	// The guest writes a sector first thing, which needs a new cluster.
	testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
	var info hypervisor.Info
	b.await(t, "the pause", func() bool {
		var err error
		info, err = b.driver.Inspect(t.Context(), m.ID)
		testkit.Check(t, err)
		return info.State == hypervisor.StatePaused
	})
	if info.PauseReason != hypervisor.PauseNoSpace {
		t.Fatalf("paused for %q", info.PauseReason)
	}
	empty()
	testkit.Check(t, b.driver.Resume(t.Context(), m.ID))
	b.await(t, "the boot", func() bool {
		log, err := b.driver.ConsoleLog(t.Context(), m.ID)
		testkit.Check(t, err)
		return bytes.Contains(log, []byte(vmtest.BootLine(1)))
	})
}

// TestNeighbours are two miners on one libvirtd, and a domain of nobody's.
func TestNeighbours(t *testing.T) {
	lab := newLab(t)
	one, two := newBench(t, lab, "n1"), newBench(t, lab, "n2")
	a, b := one.definition(t, false), two.definition(t, false)
	testkit.Check(t, one.driver.Define(t.Context(), a))
	testkit.Check(t, two.driver.Define(t.Context(), b))
	xml := filepath.Join(one.files, "foreign.xml")
	testkit.Check(t, os.WriteFile(xml, []byte(`<domain type='qemu'><name>hip-n1-foreign</name><memory>32768</memory><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`), 0o600))
	one.virsh(t, "define", xml)

	for _, side := range []struct {
		driver      *libvirt.Driver
		own, others vm.ID
	}{{one.driver, a.ID, b.ID}, {two.driver, b.ID, a.ID}} {
		infos, err := side.driver.List(t.Context())
		testkit.Check(t, err)
		if len(infos) != 1 || infos[0].ID != side.own {
			t.Errorf("listed %+v", infos)
		}
		if info, err := side.driver.Inspect(t.Context(), side.others); err != nil || info.State != hypervisor.StateAbsent {
			t.Errorf("another's VM is %+v, %v", info, err)
		}
		if err := side.driver.Start(t.Context(), side.others, vmtest.NewKey()); !errors.Is(err, hypervisor.ErrNotFound) {
			t.Errorf("start of another's VM: %v", err)
		}
		testkit.Check(t, side.driver.Destroy(t.Context(), side.others))
	}
	if names := strings.Fields(one.virsh(t, "list", "--all", "--name")); len(names) != 3 {
		t.Errorf("domains are %v", names)
	}
	testkit.Check(t, one.driver.Destroy(t.Context(), a.ID))
	testkit.Check(t, two.driver.Destroy(t.Context(), b.ID))
}

// TestHungLibvirtd stops libvirtd's process: every call returns by its deadline, and when libvirtd goes on, or another takes
// its place, the driver does, too.
func TestHungLibvirtd(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "h1")
	m := b.definition(t, false)
	b.start(t, m)
	send := func(signal string) { inside(t, lab, `kill "$1" "$(cat /run/libvirt/libvirtd.pid)"`, signal) }
	hung := func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var calls sync.WaitGroup
		for what, call := range map[string]func() error{
			"inspect": func() error { _, err := b.driver.Inspect(ctx, m.ID); return err },
			"list":    func() error { _, err := b.driver.List(ctx); return err },
			"host":    func() error { _, err := b.driver.Host(ctx); return err },
			"start":   func() error { return b.driver.Start(ctx, m.ID, m.DiskKey) },
			"suspend": func() error { return b.driver.Suspend(ctx, m.ID) },
			"define":  func() error { return b.driver.Define(ctx, m) },
		} {
			calls.Go(func() {
				if err := call(); err == nil {
					t.Errorf("%s works without libvirtd", what)
				}
			})
		}
		ended := make(chan struct{})
		go func() { calls.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("calls hang with libvirtd")
		}
	}
	works := func() {
		b.await(t, "a running VM", func() bool {
			info, err := b.driver.Inspect(t.Context(), m.ID)
			return err == nil && info.State == hypervisor.StateRunning
		})
	}

	send("-STOP")
	hung()
	testkit.Check(t, b.driver.Close())
	b.open(t) // one that finds libvirtd stopped
	hung()
	send("-CONT")
	works()

	send("-STOP")
	hung()
	lab.StopLibvirt()
	testkit.Check(t, lab.StartLibvirt(t.Context()))
	works()
}

// TestEndsWhileAsked kills a VM's process while libvirtd waits for what it says to a request: the VM is off, which is no failure.
func TestEndsWhileAsked(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "w1")
	m := b.definition(t, false)
	b.start(t, m)
	ends := func(request func() error) error {
		info, err := b.driver.Inspect(t.Context(), m.ID)
		testkit.Check(t, err)
		inside(t, lab, `kill -STOP "$1"`, strconv.Itoa(info.PID))
		said := make(chan error, 1)
		go func() { said <- request() }()
		time.Sleep(time.Second) // the request has reached the process, which is not seen from outside
		inside(t, lab, `kill -KILL "$1"`, strconv.Itoa(info.PID))
		return <-said
	}
	if err := ends(func() error { _, err := b.driver.Shutdown(t.Context(), m.ID, time.Minute); return err }); err != nil {
		t.Errorf("shut down: %v", err)
	}
	testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
	if err := ends(func() error { _, err := b.driver.Reboot(t.Context(), m.ID, time.Minute); return err }); !errors.Is(err, hypervisor.ErrState) {
		t.Errorf("reboot: %v, want ErrState", err)
	}
}

// TestEFI defines and starts a VM with EFI firmware, and has its variables
// removed with it.
func TestEFI(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "e1")
	m := b.definition(t, false)
	m.Firmware, m.MemoryMiB = hypervisor.FirmwareEFI, 128
	testkit.Check(t, b.driver.Define(t.Context(), m))
	t.Cleanup(func() { testkit.Check(t, b.driver.Destroy(context.Background(), m.ID)) })
	testkit.Check(t, b.driver.CreateDisk(t.Context(), m.Root()))
	testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
	if vars := inside(t, lab, `ls /var/lib/libvirt/qemu/nvram`); !strings.Contains(vars, string(m.ID)) {
		t.Errorf("no variables of the firmware: %s", vars)
	}
	testkit.Check(t, b.driver.Destroy(t.Context(), m.ID))
	if vars := inside(t, lab, `ls /var/lib/libvirt/qemu/nvram`); vars != "" {
		t.Errorf("variables of the firmware stay: %s", vars)
	}
}

// TestBaseImages refuses what would be read with the hypervisor's rights.
func TestBaseImages(t *testing.T) {
	lab := newLab(t)
	b := newBench(t, lab, "b1")
	m := b.definition(t, false)
	m.BaseFormat = hypervisor.FormatQcow2
	secret := m.BaseImage
	m.BaseImage = filepath.Join(b.files, "trap.qcow2")
	for name, argv := range map[string][]string{
		"a backing file": {"create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, m.BaseImage},
		"a data file":    {"create", "-q", "-f", "qcow2", "-o", "data_file=" + m.BaseImage + ".data", m.BaseImage, "1M"},
		"a larger disk":  {"create", "-q", "-f", "qcow2", m.BaseImage, "1G"},
	} {
		if out, err := exec.CommandContext(t.Context(), "qemu-img", argv...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %v: %v: %s", argv, err, out)
		}
		if err := b.driver.CreateDisk(t.Context(), m.Root()); !errors.Is(err, hypervisor.ErrInvalid) {
			t.Errorf("base with %s: %v, want ErrInvalid", name, err)
		}
		testkit.Check(t, os.Remove(m.BaseImage))
	}
	if err := b.driver.CreateDisk(t.Context(), m.Root()); err == nil {
		t.Error("a disk over nothing was made")
	}
	if has, err := b.driver.HasDisk(t.Context(), hypervisor.Root(m.ID)); err != nil || has {
		t.Errorf("has disk: %v, %v", has, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := libvirt.DefaultConfig()
	good.Tag, good.StateDir, good.RunDir = "a1", "/var/lib/hippius", "/run/hippius"
	testkit.Check(t, good.Validate())
	bad := make([]libvirt.Config, 7)
	for i := range bad {
		bad[i] = good
	}
	bad[0].Tag = "A/b"
	bad[1].Tag = ""
	bad[2].Accel = "hvf"
	bad[3].StateDir = "state"
	bad[4].RunDir = "/run/" + strings.Repeat("x", 40)
	bad[5].Socket = ""
	bad[6].LibvirtRunDir = "run"
	for i, c := range bad {
		if c.Validate() == nil {
			t.Errorf("bad setting %d was taken", i)
		}
	}
}

// TestGuestCode assembles the test guest and the probe again.
func TestGuestCode(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"as", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs binutils to assemble: runs in CI")
		}
	}
	for source, bits := range map[string]string{"testdata/guest": "--32", "probe/probe": "--64"} {
		dir := t.TempDir()
		for _, argv := range [][]string{
			{"as", bits, "-o", dir + "/o", source + ".s"},
			{"objcopy", "-O", "binary", "-j", ".text", dir + "/o", dir + "/bin"},
		} {
			if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", argv, err, out)
			}
		}
		now, err := os.ReadFile(dir + "/bin")
		testkit.Check(t, err)
		committed, err := os.ReadFile(source + ".bin")
		testkit.Check(t, err)
		if !slices.Equal(now, committed) {
			t.Errorf("%s.bin is not what %s.s assembles to", source, source)
		}
	}
}
