package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// life is a VM between its start and its stop.
type life struct {
	cancel  context.CancelFunc
	ended   sync.WaitGroup
	up      atomic.Bool // the guest listens
	channel *port
	console *port
}

type begun bool

const (
	booting begun = false
	adopted begun = true // it ran all along: no boot, nothing printed
)

// begin gives m a process. d.mu is held or d is not shared yet.
func (d *Driver) begin(m hypervisor.Definition, how begun) *life {
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{cancel: cancel, channel: newPort(nil), console: newPort(d.logTo(m.ID))}
	l.up.Store(how == adopted)
	d.run(l, func() { l.channel.pump() })
	d.run(l, func() { l.console.pump() })
	d.run(l, func() {
		if how == booting && !d.boot(ctx, m, l) {
			return
		}
		d.run(l, func() { echo(l.console.guest) })
		if d.cfg.Guest != nil {
			d.run(l, func() {
				defer func() { _ = l.channel.guest.Close() }()
				d.cfg.Guest(ctx, m, l.channel.guest)
			})
		}
	})
	return l
}

func (d *Driver) run(l *life, f func()) {
	l.ended.Add(1)
	d.guest.Go(func() {
		defer l.ended.Done()
		f()
	})
}

// boot is what the guest does first: it counts the boot on its disk and says
// so on its console. It reports whether the VM got that far.
func (d *Driver) boot(ctx context.Context, m hypervisor.Definition, l *life) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d.cfg.Boot):
	}
	d.mu.Lock()
	k, err := d.readDisk(hypervisor.Root(m.ID))
	if err == nil {
		k.Boots++
		err = writeJSON(d.diskPath(hypervisor.Root(m.ID)), k)
	}
	d.mu.Unlock()
	if err != nil {
		d.cfg.Log.Error("boot", "vm_id", m.ID, "error", err)
		return false
	}
	if _, err := fmt.Fprintf(l.console.guest, "HIPPIUS BOOT %04d\r\n", k.Boots); err != nil {
		return false
	}
	l.up.Store(true)
	d.events.publish(m.ID)
	return true
}

// echo is the guest's end of the console.
func echo(console net.Conn) {
	buf := make([]byte, 512)
	for {
		n, err := console.Read(buf)
		if err != nil {
			return
		}
		if _, err := console.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (l *life) listens() bool { return l.up.Load() }

func (l *life) pause(paused bool) {
	l.channel.pause(paused)
	l.console.pause(paused)
}

// end stops everything without waiting; it may be called again.
func (l *life) end() {
	l.cancel()
	l.channel.close()
	l.console.close()
}

func (l *life) wait() { l.ended.Wait() }

const logSuffix = ".console.log"

// logTo returns a sink that keeps the console's output, at most twice what is
// ever returned of it.
func (d *Driver) logTo(id vm.ID) func([]byte) {
	path := d.path(id, logSuffix)
	return func(p []byte) {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.cfg.Log.Error("console log", "vm_id", id, "error", err)
			return
		}
		if err := os.WriteFile(path, tail(append(old, p...)), 0o600); err != nil {
			d.cfg.Log.Error("console log", "vm_id", id, "error", err)
		}
	}
}

func tail(p []byte) []byte { return p[max(0, len(p)-hypervisor.ConsoleLogBytes):] }

// DialConsole implements hypervisor.Console.
func (d *Driver) DialConsole(_ context.Context, id vm.ID) (io.ReadWriteCloser, error) {
	return d.dial(id, func(l *life) *port { return l.console })
}

// DialChannel implements hypervisor.Channel.
func (d *Driver) DialChannel(_ context.Context, id vm.ID) (net.Conn, error) {
	return d.dial(id, func(l *life) *port { return l.channel })
}

func (d *Driver) dial(id vm.ID, which func(*life) *port) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.vms[id]
	if m == nil {
		return nil, fmt.Errorf("vm %s: %w", id, hypervisor.ErrNotFound)
	}
	if m.life == nil {
		return nil, fmt.Errorf("vm %s is %s: %w", id, m.State, hypervisor.ErrState)
	}
	conn, err := which(m.life).dial()
	if err != nil {
		return nil, fmt.Errorf("vm %s: %w", id, err)
	}
	return conn, nil
}

// ConsoleLog implements hypervisor.Console.
func (d *Driver) ConsoleLog(_ context.Context, id vm.ID) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.vms[id] == nil {
		return nil, fmt.Errorf("vm %s: %w", id, hypervisor.ErrNotFound)
	}
	log, err := os.ReadFile(d.path(id, logSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("console log of vm %s: %w", id, err)
	}
	return tail(log), nil
}
