// Package fake is a hypervisor in memory: VMs that take a short time to boot,
// answer ACPI, count their boots on their disk, echo on their console and run
// a Go function as their guest agent. It lets an agent, or a whole network, be
// tested without root and in milliseconds, and passes the same suite as the
// real driver.
//
// Each VM's state lies in one file, so that closing a driver and opening
// another on the same folder is what an agent's restart is to a real
// hypervisor: running VMs still run.
package fake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/keylock"
	"github.com/hippius/compute/miner/hypervisor"
)

// Config sets up a Driver.
type Config struct {
	// Dir holds the VMs. Required; made if absent; one driver at a time.
	Dir string
	// Boot is how long a guest takes from Start, or from a reboot, until it
	// listens to ACPI, its console and its channel. May be 0.
	Boot time.Duration
	// Guest is the agent inside every VM. It is called once the guest is
	// up, with the guest's end of the channel, and has to return soon after
	// ctx ends, which is when the VM stops or restarts; the connection
	// is closed then. Returning sooner is an agent that died: the VM
	// runs on. VMs carry no disk key. Nil is a guest without an agent.
	Guest func(ctx context.Context, m hypervisor.Definition, channel net.Conn)
	// Log may be nil.
	Log *slog.Logger
}

// Driver is a working hypervisor without a host under it.
type Driver struct {
	cfg    Config
	lock   *os.File
	ops    keylock.Map[vm.ID]
	guest  sync.WaitGroup // everything that runs on behalf of VMs
	events subscribers

	mu      sync.Mutex // guards all below, held briefly
	vms     map[vm.ID]*entry
	faults  faults
	lastPID int
	closed  bool
}

var _ hypervisor.Driver = (*Driver)(nil)

// entry is one VM's record and, while it has a process, its life.
type entry struct {
	record
	life *life
	past *life // the one before, which may still be ending
}

// New opens the hypervisor in cfg.Dir and lets the VMs that ran there run
// on. It fails if another driver has the folder open.
func New(cfg Config) (*Driver, error) {
	if cfg.Dir == "" {
		return nil, errors.New("fake hypervisor: Dir is empty")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for _, dir := range []string{cfg.Dir, filepath.Join(cfg.Dir, "disks"), filepath.Join(cfg.Dir, "trash")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("fake hypervisor: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(cfg.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("fake hypervisor: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("fake hypervisor: %s is open already: %w", cfg.Dir, err), lock.Close())
	}
	d := &Driver{cfg: cfg, lock: lock, vms: make(map[vm.ID]*entry), lastPID: firstPID}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// Close detaches from the VMs. In the files they run on; in this process
// their guests are gone when it returns.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	for _, m := range d.vms {
		if m.life != nil {
			m.life.end()
		}
	}
	d.mu.Unlock()
	d.guest.Wait()
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	return nil
}

// firstPID is above Linux's largest process id, so that nobody who signals a
// fake process hits a real one.
const firstPID = 1 << 22

func (d *Driver) nextPID() int {
	d.lastPID++
	return d.lastPID
}

// up fails when the hypervisor's daemon is down or the driver closed. d.mu is
// held.
func (d *Driver) up() error {
	if d.closed {
		return fmt.Errorf("fake hypervisor is closed: %w", hypervisor.ErrHypervisorDown)
	}
	if d.faults.down {
		return fmt.Errorf("fake hypervisor: %w", hypervisor.ErrHypervisorDown)
	}
	return nil
}

// get returns the record of a defined VM. d.mu is held.
func (d *Driver) get(id vm.ID) (*entry, error) {
	if err := d.up(); err != nil {
		return nil, err
	}
	m := d.vms[id]
	if m == nil {
		return nil, fmt.Errorf("vm %s: %w", id, hypervisor.ErrNotFound)
	}
	return m, nil
}

// Host describes a hypervisor that is not there.
func (d *Driver) Host(context.Context) (hypervisor.Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.up(); err != nil {
		return hypervisor.Host{}, err
	}
	return hypervisor.Host{
		Acceleration: hypervisor.AccelTCG,
		Evidence:     "the fake hypervisor runs no instructions",
		Hypervisor:   "fake",
	}, nil
}

// subscribers is a set of subscribers.
type subscribers struct {
	mu   sync.Mutex
	subs map[chan vm.ID]struct{}
}

// Events implements hypervisor.Events.
func (d *Driver) Events(ctx context.Context) <-chan vm.ID {
	p := &d.events
	ch := make(chan vm.ID, 16)
	p.mu.Lock()
	if p.subs == nil {
		p.subs = make(map[chan vm.ID]struct{})
	}
	p.subs[ch] = struct{}{}
	p.mu.Unlock()
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.subs, ch)
		close(ch)
	})
	return ch
}

func (p *subscribers) publish(id vm.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ch := range p.subs {
		select {
		case ch <- id:
		default: // a full channel tells already
		}
	}
}
