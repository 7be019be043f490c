// Package libvirt runs VMs under QEMU through a libvirtd on this host.
//
// One domain each, found again by what its metadata says, so that a restarted
// agent adopts what runs. Disks are qcow2 overlays, LUKS-encrypted, over plain
// shared base images; keys are handed to libvirtd in ephemeral private secrets
// that exist only while a VM starts. Consoles and channels are unix
// sockets of QEMU's own and work while libvirtd is down.
package libvirt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/keylock"
	"github.com/hippius/compute/miner/hypervisor"
)

// Config sets up a Driver.
type Config struct {
	// Socket of the libvirtd; LibvirtRunDir is the folder it keeps pid files
	// in, under qemu/.
	Socket        string
	LibvirtRunDir string
	// StateDir holds disks, trash and console logs, and should be on the big
	// fast disk. RunDir holds sockets: at most 40 bytes long, better on tmpfs.
	// QEMU's user has to be able to enter both.
	StateDir string
	RunDir   string
	// Tag tells this miner's domains from those of others on the host: 1 to
	// 8 lower-case letters and digits.
	Tag string
	// Accel says how guests run; see Choose.
	Accel Accel
	// QEMUUser is who libvirtd runs QEMU as.
	QEMUUser string
	// MinFreeBytes is what has to be free in StateDir for a disk to be made.
	MinFreeBytes uint64
	// Log may be nil.
	Log *slog.Logger
}

// DefaultConfig is a Debian host's; Tag, StateDir and RunDir are for the
// caller to choose.
func DefaultConfig() Config {
	return Config{
		Socket:        "/run/libvirt/libvirt-sock",
		LibvirtRunDir: "/run/libvirt",
		Accel:         AccelAuto,
		QEMUUser:      "libvirt-qemu",
		MinFreeBytes:  64 << 20,
	}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case !regexp.MustCompile(`^[a-z0-9]{1,8}$`).MatchString(c.Tag):
		return fmt.Errorf("tag %.20q is not 1 to 8 lower-case letters and digits", c.Tag)
	case c.Accel != AccelAuto && c.Accel != AccelKVM && c.Accel != AccelTCG:
		return fmt.Errorf("accel %.20q is not auto, kvm or tcg", c.Accel)
	case len(c.RunDir) > 40:
		return fmt.Errorf("run dir %q is too long to hold unix sockets", c.RunDir)
	}
	for what, path := range map[string]string{
		"socket": c.Socket, "libvirt run dir": c.LibvirtRunDir, "state dir": c.StateDir, "run dir": c.RunDir,
	} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%s %q is not an absolute path", what, path)
		}
	}
	return nil
}

// Driver is a vm.Driver over libvirt.
type Driver struct {
	cfg  Config
	link *link
	user owner
	host hypervisor.Host
	log  *slog.Logger

	ops    keylock.Map[vm.ID]
	lines  lineLocks
	seen   journal
	events subscribers

	stop context.CancelFunc
	wg   sync.WaitGroup
}

var _ hypervisor.Driver = (*Driver)(nil)

// New looks at the host (which may take some seconds, see Choose), makes the
// driver's folders and begins to follow libvirtd, which need not be up yet.
func New(ctx context.Context, cfg Config) (*Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("libvirt driver: %w", err)
	}
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("libvirt driver: %s hosts are not supported, only x86-64", runtime.GOARCH)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, tool := range []string{qemuSystem, qemuImg} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("libvirt driver: %w", err)
		}
	}
	user, err := lookupOwner(cfg.QEMUUser)
	if err != nil {
		return nil, fmt.Errorf("libvirt driver: %w", err)
	}
	host, err := Choose(ctx, cfg.Accel)
	if err != nil {
		return nil, fmt.Errorf("libvirt driver: %w", err)
	}
	d := &Driver{
		cfg: cfg, link: newLink(cfg.Socket), user: user, log: cfg.Log,
		host: hypervisor.Host{Acceleration: host.Acceleration, Evidence: host.Evidence, OverheadMiB: overheadMiB(host.Acceleration)},
	}
	d.seen.dir = d.vmsDir()
	for _, dir := range []string{cfg.StateDir, cfg.RunDir, d.disksDir(), d.trashDir(), d.vmsDir()} {
		if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // QEMU's user passes through, and may not list
			return nil, fmt.Errorf("libvirt driver: %w", err)
		}
	}
	var watching context.Context
	watching, d.stop = context.WithCancel(context.WithoutCancel(ctx)) // until Close
	d.wg.Go(func() { d.watch(watching) })
	return d, nil
}

// Close lets go of libvirtd. VMs run on.
func (d *Driver) Close() error {
	d.stop()
	d.link.close()
	d.wg.Wait()
	return nil
}

// Host implements hypervisor.Inventory.
func (d *Driver) Host(ctx context.Context) (hypervisor.Host, error) {
	version, err := versions(ctx, d.link)
	if err != nil {
		return hypervisor.Host{}, fmt.Errorf("host: %w", err)
	}
	host := d.host
	host.Hypervisor = version
	return host, nil
}

// dotted writes libvirt's way of numbering versions.
func dotted(v uint64) string {
	return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1_000%1_000, v%1_000)
}

// domainName is unique on the host: cgroups are named by it.
func (d *Driver) domainName(id vm.ID) string { return "hip-" + d.cfg.Tag + "-" + string(id) }

func (d *Driver) disksDir() string { return filepath.Join(d.cfg.StateDir, "disks") }
func (d *Driver) trashDir() string { return filepath.Join(d.cfg.StateDir, "trash") }

// vmsDir has the name that it has on the disks of miners.
func (d *Driver) vmsDir() string { return filepath.Join(d.cfg.StateDir, "machines") }

// rootTarget is what the guest sees the root disk as.
const rootTarget = "vda"

// diskSuffix of the files of disks, after their names; a VM's lie in one folder.
const diskSuffix = ".qcow2"

func (d *Driver) diskDir(id vm.ID) string { return filepath.Join(d.disksDir(), string(id)) }

func (d *Driver) disk(id hypervisor.DiskID) string {
	return filepath.Join(d.diskDir(id.VM), id.Name+diskSuffix)
}

func (d *Driver) root(id vm.ID) string { return d.disk(hypervisor.Root(id)) }

func (d *Driver) vmDir(id vm.ID) string {
	return filepath.Join(d.vmsDir(), string(id))
}

func (d *Driver) consoleLog(id vm.ID) string {
	return filepath.Join(d.vmDir(id), "console.log")
}
func (d *Driver) socketDir(id vm.ID) string { return filepath.Join(d.cfg.RunDir, string(id)) }

// lock takes id's turn. Ids come from outside and end up in paths.
func (d *Driver) lock(ctx context.Context, id vm.ID) (unlock func(), err error) {
	if err := hypervisor.CheckID(id); err != nil {
		return nil, err
	}
	unlock, err = d.ops.Lock(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("wait for vm %s: %w", id, err)
	}
	return unlock, nil
}

// lockDisk takes the turn of the disk's VM.
func (d *Driver) lockDisk(ctx context.Context, id hypervisor.DiskID) (unlock func(), err error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	return d.lock(ctx, id.VM)
}

// exists tells whether path does, whatever it is.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
