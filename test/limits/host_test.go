package limits

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/seed"
)

// TestMain moves the tests of root into a mount namespace with a /run of its
// own: whatever happens to them, nothing is left mounted or lying around.
func TestMain(m *testing.M) {
	testkit.Seclude("mode=755", "")
	os.Exit(m.Run())
}

const (
	tiny       = "../../build/images/tiny.qcow2"
	publicAddr = "93.184.216.34" // beyond the host's uplink
	tag        = "lim"
	// connections that a VM of this host may have open.
	connections = 64
)

// host is a miner's: libvirt, the driver and the network, all real.
type host struct {
	t            *testing.T
	lab, beyond  *netlab.Lab
	cfg          libvirt.Config
	driver       *libvirt.Driver
	wires        *network.Network
	files, agent string // folder of images and discs; the disc with the load program
	login        ssh.Signer
}

func newHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("runs real VMs: as root, in CI and in `sudo make test`")
	}
	if _, err := os.Stat(tiny); err != nil {
		t.Skipf("no tiny guest: `make image` builds it, as CI does: %v", err)
	}
	h := &host{t: t}
	for _, l := range []struct {
		name string
		lab  **netlab.Lab
		opts netlab.Options
	}{{"t-lim-host", &h.lab, netlab.Options{Libvirt: true}}, {"t-lim-far", &h.beyond, netlab.Options{}}} {
		lab, err := netlab.New(t.Context(), l.name, l.opts)
		testkit.Check(t, err)
		t.Cleanup(func() { testkit.Check(t, lab.Close()) })
		*l.lab = lab
	}
	testkit.Check(t, netlab.Connect(
		netlab.End{Lab: h.lab, Name: "uplink", Addr: netip.MustParsePrefix("192.168.76.2/30")},
		netlab.End{Lab: h.beyond, Name: "downlink", Addr: netip.MustParsePrefix("192.168.76.1/30")},
	))
	testkit.Check(t, h.lab.Route(netip.Prefix{}, netip.MustParseAddr("192.168.76.1")))
	if out, err := h.beyond.Command(t.Context(), "ip", "address", "add", publicAddr+"/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	testkit.Check(t, h.lab.StartLibvirt(t.Context()))

	// On a disk: what lies on a tmpfs counts against the VMs' memory.
	h.files = testkit.ShortDir(t)
	testkit.Check(t, os.Chmod(h.files, 0o711)) //nolint:gosec // QEMU's user passes through
	h.cfg = libvirt.DefaultConfig()
	h.cfg.Socket, h.cfg.LibvirtRunDir = h.lab.LibvirtSocket(), h.lab.LibvirtRunDir()
	h.cfg.StateDir, h.cfg.RunDir, h.cfg.Tag = filepath.Join(h.files, "vms"), "/run/hl-lim", tag
	var err error
	h.driver, err = libvirt.New(t.Context(), h.cfg)
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, h.driver.Close()) })

	net := network.DefaultConfig()
	net.Tag, net.Connections = tag, connections
	testkit.Check(t, h.lab.Do(func() (err error) { h.wires, err = network.New(t.Context(), net); return err }))
	h.makeFiles()
	return h
}

// makeFiles copies the image to where QEMU may read it, and puts the load program on a disc.
func (h *host) makeFiles() {
	t := h.t
	t.Helper()
	image, err := os.ReadFile(tiny)
	testkit.Check(t, err)
	testkit.Check(t, os.WriteFile(filepath.Join(h.files, "tiny.qcow2"), image, 0o644)) //nolint:gosec // nothing secret
	program := filepath.Join(t.TempDir(), "load")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./load")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the load: %v\n%s", err, out)
	}
	code, err := os.ReadFile(program)
	testkit.Check(t, err)
	h.agent = h.iso("agent.iso", "HIPPIUS", seed.File{Name: "load", Data: code, Executable: true})
	_, key, err := ed25519.GenerateKey(rand.Reader)
	testkit.Check(t, err)
	h.login, err = ssh.NewSignerFromKey(key)
	testkit.Check(t, err)
}

func (h *host) iso(name, label string, files ...seed.File) string {
	h.t.Helper()
	var out bytes.Buffer
	testkit.Check(h.t, seed.WriteISO(&out, label, files))
	path := filepath.Join(h.files, name)
	testkit.Check(h.t, os.WriteFile(path, out.Bytes(), 0o644)) //nolint:gosec // nothing secret
	return path
}

// guestVM is a VM that runs, and a login to it from its host.
type guestVM struct {
	hypervisor.Definition
	h      *host
	tap    network.Tap
	client *ssh.Client
}

// start makes a VM and boots it; login waits for it.
func (h *host) start(name string, limits hypervisor.Limits) *guestVM {
	t := h.t
	t.Helper()
	m := &guestVM{h: h, Definition: hypervisor.Definition{
		ID: vmtest.NewID(), InstanceSeq: 1, Generation: 1, Name: name, VCPUs: 1, MemoryMiB: 160, DiskBytes: 256 << 20,
		BaseImage: filepath.Join(h.files, "tiny.qcow2"), BaseFormat: hypervisor.FormatQcow2, DiskKey: vmtest.NewKey(),
		AgentISO: h.agent, Limits: limits,
	}}
	wire := func() error {
		return h.lab.Do(func() (err error) {
			m.tap, err = h.wires.Ensure(t.Context(), network.Attachment{VM: string(m.ID), Tenant: name, BitsPerSec: limits.NetworkBitsPerSec})
			return err
		})
	}
	testkit.Check(t, wire())
	m.Tap, m.MAC = m.tap.Name, m.tap.MAC
	m.Seed = h.iso(name+".iso", "CIDATA",
		seed.File{Name: "meta-data", Data: fmt.Appendf(nil, "instance-id: %s\nlocal-hostname: %s\n", m.ID, name)},
		seed.File{Name: "user-data", Data: fmt.Appendf(nil, "#cloud-config\nusers:\n  - name: hippius\n    ssh_authorized_keys:\n      - %q\n",
			strings.TrimSpace(string(ssh.MarshalAuthorizedKey(h.login.PublicKey()))))},
		seed.File{Name: "network-config", Data: fmt.Appendf(nil, networkConfig, m.MAC, m.tap.Guest, m.tap.Host.Addr())},
	)
	testkit.Check(t, h.driver.Define(t.Context(), m.Definition))
	t.Cleanup(func() { testkit.Check(t, h.driver.Destroy(context.Background(), m.ID)) })
	testkit.Check(t, h.driver.CreateDisk(t.Context(), m.Root()))
	testkit.Check(t, h.driver.Start(t.Context(), m.ID, m.DiskKey))
	testkit.Check(t, wire()) // as the agent does
	return m
}

const networkConfig = `version: 2
ethernets:
  eth0:
    match:
      macaddress: "%s"
    set-name: eth0
    dhcp4: false
    addresses:
      - %s
    gateway4: %s
`

// reach waits until the VM lets its host in by SSH.
func (m *guestVM) reach() {
	t := m.h.t
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = m.dial(); err == nil {
			t.Cleanup(func() { _ = m.client.Close() })
			return
		}
	}
	log, _ := m.h.driver.ConsoleLog(t.Context(), m.ID)
	t.Fatalf("%s does not let its host in: %v\n%s", m.Name, err, log)
}

func (m *guestVM) dial() error {
	addr := netip.AddrPortFrom(m.tap.Guest.Addr(), 22).String()
	var conn net.Conn
	err := m.h.lab.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: time.Second}).DialContext(m.h.t.Context(), "tcp", addr)
		return err
	})
	if err != nil {
		return err
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{
		User: "hippius", Auth: []ssh.AuthMethod{ssh.PublicKeys(m.h.login)}, Timeout: 20 * time.Second,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // a VM of this test, on a wire of this test
	})
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	m.client = ssh.NewClient(c, chans, reqs)
	return nil
}

// try runs a command in the VM.
func (m *guestVM) try(command string) (string, error) {
	s, err := m.client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }()
	var out, complaint bytes.Buffer
	s.Stdout, s.Stderr = &out, &complaint
	if err := s.Run(command); err != nil {
		return out.String(), fmt.Errorf("%s on %s: %w: %s", command, m.Name, err, complaint.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// load runs the load program in the VM and gives its number.
func (m *guestVM) load(t *testing.T, args string) float64 {
	t.Helper()
	out, err := m.try("sudo /run/hippius/cd/load " + args)
	testkit.Check(t, err)
	n, err := strconv.ParseFloat(out, 64)
	testkit.Check(t, err)
	return n
}

func (m *guestVM) info(t *testing.T) (hypervisor.Info, hypervisor.Stats) {
	t.Helper()
	info, err := m.h.driver.Inspect(t.Context(), m.ID)
	testkit.Check(t, err)
	stats, err := m.h.driver.Stats(t.Context(), m.ID)
	testkit.Check(t, err)
	return info, stats
}

// virsh asks libvirt about the VM, or changes what runs.
func (m *guestVM) virsh(t *testing.T, command string, args ...string) string {
	t.Helper()
	argv := append([]string{"virsh", "-q", "-c", "qemu:///system", command, "hip-" + tag + "-" + string(m.ID)}, args...)
	out, err := m.h.lab.Command(t.Context(), argv...).CombinedOutput()
	if err != nil {
		t.Fatalf("virsh %s: %v: %s", command, err, out)
	}
	return string(out)
}
