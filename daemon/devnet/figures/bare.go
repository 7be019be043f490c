package figures

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/miner/seed"
)

// bare starts the same image with virsh alone: a plain overlay, a seed, QEMU's
// own user network with one forwarded port. It runs in a miner's lab, with that
// miner's libvirtd, so that both share all but what we add.
type bare struct {
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
	tbCacheMiB  = 128
)

func newBare(ctx context.Context, o Options) (*bare, error) {
	b := &bare{lab: o.Net.Lab(0), image: o.ImageFile, key: o.Tenant.Key(), memory: bareMemory}
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
func (b *bare) prepare(ctx context.Context) error {
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
	xml, err := b.domain().Marshal()
	if err != nil {
		return fmt.Errorf("bare start: %w", err)
	}
	file := filepath.Join(b.dir, "domain.xml")
	if err := os.WriteFile(file, []byte(xml), 0o600); err != nil {
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

func (b *bare) domain() *libvirtxml.Domain {
	disk := func(file, format, dev string, readonly bool) libvirtxml.DomainDisk {
		d := libvirtxml.DomainDisk{
			Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: format},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: filepath.Join(b.dir, file)}},
			Target: &libvirtxml.DomainDiskTarget{Dev: dev, Bus: "virtio"},
		}
		if readonly {
			d.ReadOnly = &libvirtxml.DomainDiskReadOnly{}
		} else {
			d.Boot = &libvirtxml.DomainDeviceBoot{Order: 1}
		}
		return d
	}
	return &libvirtxml.Domain{
		Type: "qemu", Name: bareName,
		Memory: &libvirtxml.DomainMemory{Value: b.memory, Unit: "MiB"},
		VCPU:   &libvirtxml.DomainVCPU{Value: 1},
		CPU:    &libvirtxml.DomainCPU{Mode: "maximum"},
		OS:     &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "q35", Type: "hvm"}},
		Features: &libvirtxml.DomainFeatureList{
			ACPI: &libvirtxml.DomainFeature{},
			TCG:  &libvirtxml.DomainFeatureTCG{TBCache: &libvirtxml.DomainFeatureTCGTBCache{Unit: "MiB", Size: tbCacheMiB}},
		},
		Devices: &libvirtxml.DomainDeviceList{
			Emulator:   "/usr/bin/qemu-system-x86_64",
			Disks:      []libvirtxml.DomainDisk{disk("disk.qcow2", "qcow2", "vda", false), disk("seed.iso", "raw", "vdb", true)},
			Serials:    []libvirtxml.DomainSerial{{Source: &libvirtxml.DomainChardevSource{Null: &libvirtxml.DomainChardevSourceNull{}}}},
			MemBalloon: &libvirtxml.DomainMemBalloon{Model: "none"},
			RNGs: []libvirtxml.DomainRNG{{Model: "virtio", Backend: &libvirtxml.DomainRNGBackend{
				Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"},
			}}},
		},
		QEMUCommandline: &libvirtxml.DomainQEMUCommandline{Args: []libvirtxml.DomainQEMUCommandlineArg{
			{Value: "-netdev"}, {Value: "user,id=bare,hostfwd=tcp:127.0.0.1:" + barePort + "-10.0.2.15:22"},
			{Value: "-device"}, {Value: "virtio-net-pci,netdev=bare,romfile=,addr=0x1e,mac=" + bareMAC},
		}},
	}
}

// run measures `virsh start` to the first SSH command on a fresh overlay.
func (b *bare) run(ctx context.Context) (time.Duration, error) {
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
	err := b.ssh(ctx)
	took := time.Since(start)
	return took, errors.Join(err, b.virsh(context.WithoutCancel(ctx), "destroy", bareName))
}

// ssh tries until the first command succeeds.
func (b *bare) ssh(ctx context.Context) error {
	for {
		cmd := b.lab.Command(ctx, "ssh", "-p", barePort, "-i", b.key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-o", "ConnectTimeout=5", "hippius@127.0.0.1", "true")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("SSH to the bare machine: %w: %s", err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (b *bare) virsh(ctx context.Context, args ...string) error {
	out, err := b.lab.Command(ctx, append([]string{"virsh", "-q", "-c", "qemu:///system"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("virsh %s: %w: %s", args[0], err, out)
	}
	return nil
}
