package libvirt_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
	"github.com/hippius/compute/miner/network"
)

// seedISO writes a CIDATA disc for a VM on a tap.
func seedISO(t *testing.T, path string, m hypervisor.Definition, tap network.Tap) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"meta-data": "instance-id: " + string(m.ID) + "\nlocal-hostname: wired\n",
		"user-data": "#cloud-config\nusers:\n  - name: hippius\n",
		"network-config": fmt.Sprintf(`version: 2
ethernets:
  eth0:
    match:
      macaddress: "%s"
    set-name: eth0
    mtu: 1500
    dhcp4: false
    addresses:
      - %s
    gateway4: %s
`, tap.MAC, tap.Guest, tap.Host.Addr()),
	} {
		testkit.Check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	out, err := exec.CommandContext(t.Context(), "xorriso", "-as", "mkisofs", "-quiet", "-V", "CIDATA", "-J", "-r", "-o", path, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("xorriso: %v: %s", err, out)
	}
	testkit.Check(t, os.Chmod(path, 0o640))
}

// TestWired boots the tiny guest on a tap with its rules and meets its SSH
// server, from the host, which alone may call a VM.
func TestWired(t *testing.T) {
	if _, err := os.Stat(tinyImage); err != nil {
		t.Skip("needs the tiny guest: runs after `make image`")
	}
	lab := newLab(t)
	b := newBench(t, lab, "w1")
	m := b.talker(t)
	cfg := network.DefaultConfig()
	cfg.Tag = "w1"
	var (
		wires *network.Network
		tap   network.Tap
	)
	testkit.Check(t, lab.Do(func() (err error) {
		if wires, err = network.New(t.Context(), cfg); err != nil {
			return err
		}
		tap, err = wires.Ensure(t.Context(), network.Attachment{VM: string(m.ID), Tenant: "alice", BitsPerSec: 100e6})
		return err
	}))
	m.Tap, m.MAC = tap.Name, tap.MAC
	m.Seed = filepath.Join(b.files, "seed.iso")
	seedISO(t, m.Seed, m, tap)

	testkit.Check(t, b.driver.Define(t.Context(), m))
	t.Cleanup(func() { testkit.Check(t, b.driver.Destroy(context.Background(), m.ID)) })
	testkit.Check(t, b.driver.CreateDisk(t.Context(), m.Root()))
	begun := time.Now()
	testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
	t.Logf("process runs after %v", time.Since(begun).Round(time.Millisecond))

	var banner string
	b.await(t, "the guest's SSH server", func() bool {
		_ = lab.Do(func() error {
			conn, err := (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext(t.Context(), "tcp", tap.Guest.Addr().String()+":22")
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
			banner, err = bufio.NewReader(conn).ReadString('\n')
			return err
		})
		return strings.HasPrefix(banner, "SSH-2.0-")
	})
	t.Logf("SSH answers after %v: %s", time.Since(begun).Round(time.Millisecond), strings.TrimSpace(banner))

	if log, err := b.driver.ConsoleLog(t.Context(), m.ID); err == nil {
		t.Logf("console:\n%s", log)
	}
	s, err := b.driver.Stats(t.Context(), m.ID)
	testkit.Check(t, err)
	if s.NetReceived == 0 || s.NetSent == 0 || s.DiskReadBytes == 0 || s.MemoryBytes < 32<<20 {
		t.Errorf("stats of a VM that was spoken to: %+v", s)
	}
	t.Logf("the process holds %d MiB for a guest of %d", s.MemoryBytes>>20, m.MemoryMiB)
	if info, err := b.driver.Inspect(t.Context(), m.ID); err != nil || info.Tap != tap.Name || info.MAC != tap.MAC {
		t.Errorf("inspected: %+v, %v", info, err)
	}
	begun = time.Now()
	manner, err := b.driver.Shutdown(t.Context(), m.ID, 30*time.Second)
	if err != nil || manner != hypervisor.MannerGuest {
		t.Fatalf("shut down in manner %q, %v", manner, err)
	}
	t.Logf("the guest powered off after %v", time.Since(begun).Round(time.Millisecond))

	// The tap is the network's, not libvirt's: it stays for the next start.
	testkit.Check(t, lab.Do(func() error {
		_, err := net.InterfaceByName(tap.Name)
		return err
	}))
	testkit.Check(t, b.driver.Start(t.Context(), m.ID, m.DiskKey))
	if err := b.driver.Start(t.Context(), m.ID, vmtest.NewKey()); err != nil {
		t.Errorf("start of a running VM: %v", err)
	}
	testkit.Check(t, b.driver.Destroy(t.Context(), m.ID))
	testkit.Check(t, lab.Do(func() error { return wires.Teardown(context.Background()) }))
}
