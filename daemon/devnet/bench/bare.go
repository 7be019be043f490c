package bench

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/miner/seed"
)

// bareVM starts the same image with virsh alone: a plain overlay, a seed, QEMU's
// own user network with one forwarded port. It runs in a miner's lab, with that
// miner's libvirtd, so that both share all but what we add.
type bareVM struct {
	lab    *netlab.Lab
	dir    string
	image  string
	key    string
	memory uint
}

const (
	bareName    = "bench-bare"
	bareMAC     = "52:54:00:12:34:56"
	barePort    = "2222"
	bareMemory  = 2048
	bareTimeout = 5 * time.Minute
	// A look at whether sshd answers takes so long at most; the next begins after a pause.
	greetWait, greetPause = time.Second, 100 * time.Millisecond
)

func newBare(ctx context.Context, o Options) (*bareVM, error) {
	b := &bareVM{lab: o.Net.Lab(0), image: o.ImageFile, key: o.Tenant.Key(), memory: bareMemory}
	if b.lab == nil {
		return nil, errors.New("a bare start needs a network with libvirt and a miner")
	}
	var err error
	if b.dir, err = os.MkdirTemp(o.Net.Dir(), "bare"); err != nil {
		return nil, fmt.Errorf("bare start: %w", err)
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { //nolint:gosec // QEMU's user reads the disk
		return nil, fmt.Errorf("bare start: %w", err)
	}
	return b, b.prepare(ctx)
}

// prepare writes the seed, and defines the domain.
func (b *bareVM) prepare(ctx context.Context) error {
	pub, err := os.ReadFile(b.key + ".pub")
	if err != nil {
		return fmt.Errorf("bare start: %w", err)
	}
	iso, err := os.OpenFile(filepath.Join(b.dir, "seed.iso"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644) //nolint:gosec // nothing secret
	if err != nil {
		return fmt.Errorf("bare start: %w", err)
	}
	err = seed.WriteISO(iso, "CIDATA", []seed.File{
		{Name: "meta-data", Data: []byte("instance-id: bare\nlocal-hostname: bare\n")},
		{Name: "user-data", Data: fmt.Appendf(nil, bareUserData, strings.TrimSpace(string(pub)))},
		{Name: "network-config", Data: fmt.Appendf(nil, bareNetwork, bareMAC)},
	})
	if err = errors.Join(err, iso.Close()); err != nil {
		return fmt.Errorf("bare start: %w", err)
	}
	text, err := b.domain()
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "domain.xml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("bare start: %w", err)
	}
	return b.virsh(ctx, "define", file)
}

const bareUserData = `#cloud-config
users:
  - name: hippius
    groups: [sudo]
    shell: /bin/bash
    lock_passwd: true
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys:
      - "%s"
ssh_pwauth: false
ssh_genkeytypes: [ed25519]
`

const bareNetwork = `version: 2
ethernets:
  eth0:
    match:
      macaddress: "%s"
    set-name: eth0
    dhcp4: false
    addresses:
      - 10.0.2.15/24
    gateway4: 10.0.2.2
`

// bareDomain is what the driver's domains are, without what protects and
// limits them: folder, memory, folder, port and MAC are filled in.
const bareDomain = `<domain type="qemu" xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
  <name>` + bareName + `</name>
  <memory unit="MiB">%[2]d</memory>
  <vcpu>1</vcpu>
  <os><type arch="x86_64" machine="q35">hvm</type></os>
  <features><acpi/><tcg><tb-cache unit="MiB">128</tb-cache></tcg></features>
  <cpu mode="maximum"/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type="file" device="disk">
      <driver name="qemu" type="qcow2"/><source file="%[1]s/disk.qcow2"/><target dev="vda" bus="virtio"/><boot order="1"/>
    </disk>
    <disk type="file" device="disk">
      <driver name="qemu" type="raw"/><source file="%[1]s/seed.iso"/><target dev="vdb" bus="virtio"/><readonly/>
    </disk>
    <serial type="null"/>
    <memballoon model="none"/>
    <rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
  </devices>
  <qemu:commandline>
    <qemu:arg value="-netdev"/><qemu:arg value="user,id=bare,hostfwd=tcp:127.0.0.1:` + barePort + `-10.0.2.15:22"/>
    <qemu:arg value="-device"/><qemu:arg value="virtio-net-pci,netdev=bare,romfile=,addr=0x1e,mac=` + bareMAC + `"/>
  </qemu:commandline>
</domain>
`

// domain describes the VM to libvirt.
func (b *bareVM) domain() (string, error) {
	var dir strings.Builder
	if err := xml.EscapeText(&dir, []byte(b.dir)); err != nil {
		return "", fmt.Errorf("bare start: %w", err)
	}
	return fmt.Sprintf(bareDomain, dir.String(), b.memory), nil
}

// run measures `virsh start` to the first SSH command on a fresh overlay.
func (b *bareVM) run(ctx context.Context) (time.Duration, error) {
	took, err := b.start(ctx)
	return took, errors.Join(err, b.stop(context.WithoutCancel(ctx)))
}

// start boots it and returns at its first SSH command.
func (b *bareVM) start(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, bareTimeout)
	defer cancel()
	disk := filepath.Join(b.dir, "disk.qcow2")
	if err := os.Remove(disk); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	create := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", b.image, "-F", "qcow2", disk)
	if out, err := create.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("make overlay: %w: %s", err, out)
	}
	if err := os.Chmod(disk, 0o666); err != nil { //nolint:gosec // QEMU's user writes it
		return 0, err
	}
	start := time.Now()
	if err := b.virsh(ctx, "start", bareName); err != nil {
		return 0, err
	}
	err := b.until(ctx)
	return time.Since(start), err
}

func (b *bareVM) stop(ctx context.Context) error { return b.virsh(ctx, "destroy", bareName) }

// until tries until the first command succeeds.
func (b *bareVM) until(ctx context.Context) error {
	if err := b.untilGreeted(ctx); err != nil {
		return fmt.Errorf("SSH to the bare VM: %w", err)
	}
	for {
		out, err := b.command(ctx, "true").CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("SSH to the bare VM: %w: %s", err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// untilGreeted returns as soon as sshd answers. ssh's own timeout would not: QEMU accepts a connection at once, long before
// the VM can, and an attempt begun too early waits out its five seconds. One look at a time: each costs sshd a process.
func (b *bareVM) untilGreeted(ctx context.Context) error {
	for !b.greets(ctx) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(greetPause):
		}
	}
	return nil
}

// greets reports whether sshd answers soon.
func (b *bareVM) greets(ctx context.Context) bool {
	return b.lab.Do(func() error {
		ctx, cancel := context.WithTimeout(ctx, greetWait)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", "127.0.0.1:"+barePort)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer func() { stop(); _ = conn.Close() }()
		_, err = io.ReadFull(conn, make([]byte, len("SSH-2.0")))
		return err
	}) == nil
}

// command runs one on the bare VM by plain ssh.
func (b *bareVM) command(ctx context.Context, remote string) *netlab.Cmd {
	return b.lab.Command(ctx, "ssh", "-p", barePort, "-i", b.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout=5", "hippius@127.0.0.1", remote)
}

func (b *bareVM) virsh(ctx context.Context, args ...string) error {
	out, err := b.lab.Command(ctx, append([]string{"virsh", "-q", "-c", "qemu:///system"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("virsh %s: %w: %s", args[0], err, out)
	}
	return nil
}
