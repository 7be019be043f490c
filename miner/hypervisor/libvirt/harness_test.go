package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/kdomanski/iso9660"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// stateDir is a small disk of its own, so that it can be filled.
const stateDir = "/run/hl-state"

// TestMain moves the tests of root into a mount namespace with a /run of its
// own: whatever happens to them, nothing is left mounted or lying around.
func TestMain(m *testing.M) {
	if what := os.Getenv(childDoes); what != "" {
		if err := child(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Seclude("mode=755", "mkdir "+stateDir+" && mount -t tmpfs -o size=96m,mode=711 tmpfs "+stateDir)
	os.Exit(m.Run())
}

// newLab starts a libvirtd of the test's own.
func newLab(t *testing.T) *netlab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("runs real VMs under a libvirtd of its own: as root, in CI and in `sudo make test`")
	}
	lab, err := netlab.New(t.Context(), "t-driver", netlab.Options{Libvirt: true})
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, lab.Close()) })
	testkit.Check(t, lab.StartLibvirt(t.Context()))
	return lab
}

// bench is a driver with its folders, on the lab's libvirtd.
type bench struct {
	lab    *netlab.Lab
	cfg    libvirt.Config
	driver *libvirt.Driver
	files  string // base images and discs
}

func newBench(t *testing.T, lab *netlab.Lab, tag string) *bench {
	t.Helper()
	b := &bench{lab: lab, files: filepath.Join(lab.Dir(), "files-"+tag)}
	testkit.Check(t, os.MkdirAll(b.files, 0o755))
	b.cfg = libvirt.DefaultConfig()
	b.cfg.Socket = lab.LibvirtSocket()
	b.cfg.LibvirtRunDir = lab.LibvirtRunDir()
	b.cfg.StateDir = filepath.Join(stateDir, tag)
	b.cfg.RunDir = filepath.Join("/run", "hl-"+tag)
	b.cfg.Tag = tag
	b.cfg.MinFreeBytes = 1 << 20
	if testing.Verbose() {
		b.cfg.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b.open(t)
	t.Cleanup(func() {
		testkit.Check(t, b.driver.Close())
		testkit.Check(t, os.RemoveAll(b.cfg.StateDir))
	})
	return b
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	var err error
	b.driver, err = libvirt.New(t.Context(), b.cfg)
	testkit.Check(t, err)
}

// definition is of a VM whose guest is the boot sector of testdata/guest.s.
func (b *bench) definition(t *testing.T, deaf bool) hypervisor.Definition {
	t.Helper()
	code, err := os.ReadFile("testdata/guest.bin")
	testkit.Check(t, err)
	base := filepath.Join(b.files, "guest.img")
	if deaf {
		base = filepath.Join(b.files, "deaf.img")
		code[508] = 1
	}
	testkit.Check(t, os.WriteFile(base, append(code, make([]byte, 1<<20-len(code))...), 0o644)) //nolint:gosec // QEMU's user reads it
	return hypervisor.Definition{
		ID: vmtest.NewID(), InstanceSeq: 3, Generation: 7, Name: `web-1 <&">`,
		VCPUs: 1, MemoryMiB: 32, DiskBytes: 4 << 20, BaseImage: base, BaseFormat: hypervisor.FormatRaw,
		DiskKey: vmtest.NewKey(),
		Limits:  hypervisor.Limits{CPUPercent: 100, IOPS: 500, DiskBytesPerSec: 50e6, NetworkBitsPerSec: 100e6},
	}
}

// tinyImage is where `make image` puts the tiny guest.
const tinyImage = "../../../build/images/tiny.qcow2"

// talker is a VM with the tiny guest and an agent that echoes.
func (b *bench) talker(t *testing.T) hypervisor.Definition {
	t.Helper()
	base := filepath.Join(b.files, "tiny.qcow2")
	image, err := os.ReadFile(tinyImage)
	testkit.Check(t, err)
	testkit.Check(t, os.WriteFile(base, image, 0o644)) //nolint:gosec // QEMU's user reads it
	m := b.definition(t, false)
	m.BaseImage, m.BaseFormat, m.MemoryMiB, m.DiskBytes = base, hypervisor.FormatQcow2, 128, 1<<30
	m.AgentISO = filepath.Join(b.files, "agent.iso")
	writeISO(t, m.AgentISO, "HIPPIUS", map[string]string{"install.sh": `(
port=/dev/virtio-ports/` + hypervisor.ChannelName + `
while [ ! -e $port ]; do usleep 50000; done
while :; do
	while read -r line; do
		case $line in size) cat /sys/class/block/vda/size ;; *) echo "$line" ;; esac
	done
	usleep 50000 # nobody is at the other end just now
done <>$port 1>&0 # a port opens once
) >/dev/null 2>&1 &
`})
	return m
}

func writeISO(t *testing.T, path, label string, files map[string]string) {
	t.Helper()
	w, err := iso9660.NewWriter()
	testkit.Check(t, err)
	defer func() { testkit.Check(t, w.Cleanup()) }()
	for name, text := range files {
		testkit.Check(t, w.AddFile(bytes.NewReader([]byte(text)), name))
	}
	var out bytes.Buffer
	testkit.Check(t, w.WriteTo(&out, label))
	testkit.Check(t, os.WriteFile(path, out.Bytes(), 0o644)) //nolint:gosec // QEMU's user reads it
}

// signal sends one to a VM's process, from inside the lab, where its pid
// is what libvirtd says.
func (b *bench) signal(t *testing.T, id vm.ID, sig string) {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(b.lab.LibvirtRunDir(), "qemu", "hip-"+b.cfg.Tag+"-"+string(id)+".pid"))
	testkit.Check(t, err)
	n, err := strconv.Atoi(string(bytes.TrimSpace(pid)))
	testkit.Check(t, err)
	testkit.Check(t, b.lab.Command(context.Background(), "kill", sig, strconv.Itoa(n)).Run())
}

// powerOff tells the boot sector to power off.
func (b *bench) powerOff(t *testing.T, id vm.ID) {
	t.Helper()
	line, err := b.driver.DialConsole(t.Context(), id)
	testkit.Check(t, err)
	_, err = line.Write([]byte{4})
	testkit.Check(t, err)
	time.Sleep(200 * time.Millisecond) // until QEMU has read it
	testkit.Check(t, line.Close())
}

// fill takes all space that is left, or gives it back.
func fill(t *testing.T, full bool) {
	t.Helper()
	path := filepath.Join(stateDir, "filler")
	if !full {
		testkit.Check(t, os.Remove(path))
		return
	}
	f, err := os.Create(path)
	testkit.Check(t, err)
	defer func() { _ = f.Close() }()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else {
			testkit.Check(t, err)
		}
	}
}

func TestSuite(t *testing.T) {
	lab := newLab(t)
	n := 0
	vmtest.Run(t, func(t *testing.T) *vmtest.Harness {
		t.Helper()
		n++
		b := newBench(t, lab, fmt.Sprintf("s%d", n))
		h := &vmtest.Harness{
			Driver: b.driver, Definition: b.definition, PowerOff: b.powerOff, SetFull: fill,
			Timeout: 60 * time.Second, Deadline: 30 * time.Second,
			KillProcess: func(t *testing.T, id vm.ID) { t.Helper(); b.signal(t, id, "-KILL") },
			NoTalker:    "`make image` has not built the tiny guest",
		}
		if _, err := os.Stat(tinyImage); err == nil {
			h.Talker = b.talker
		}
		h.Reopen = func(t *testing.T) {
			t.Helper()
			testkit.Check(t, b.driver.Close())
			b.open(t)
			h.Driver = b.driver
		}
		h.SetDown = func(t *testing.T, down bool) {
			t.Helper()
			if down {
				lab.StopLibvirt()
				return
			}
			testkit.Check(t, lab.StartLibvirt(context.Background()))
		}
		return h
	})
}
