package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// lineLocks admits one client to each socket: QEMU would let a second one
// connect and then never answer it.
type lineLocks struct {
	mu   sync.Mutex
	held map[string]struct{}
}

func (l *lineLocks) take(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.held[path]; held {
		return false
	}
	if l.held == nil {
		l.held = make(map[string]struct{})
	}
	l.held[path] = struct{}{}
	return true
}

func (l *lineLocks) free(path string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, path)
}

// line is a connection whose closing lets the next one in.
type line struct {
	net.Conn
	free func()
}

func (l *line) Close() error {
	err := l.Conn.Close()
	l.free()
	return err
}

// DialConsole implements hypervisor.Console.
func (d *Driver) DialConsole(ctx context.Context, id vm.ID) (io.ReadWriteCloser, error) {
	return d.dial(ctx, id, d.consoleSocket(id))
}

// DialChannel implements hypervisor.Channel.
func (d *Driver) DialChannel(ctx context.Context, id vm.ID) (net.Conn, error) {
	return d.dial(ctx, id, d.channelSocket(id))
}

func (d *Driver) dial(ctx context.Context, id vm.ID, path string) (net.Conn, error) {
	if err := d.known(id); err != nil {
		return nil, err
	}
	if !d.lines.take(path) {
		return nil, fmt.Errorf("line of vm %s: %w", id, hypervisor.ErrBusy)
	}
	free := sync.OnceFunc(func() { d.lines.free(path) })
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		return &line{conn, free}, nil
	}
	free()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("line of vm %s, which has no process: %w", id, hypervisor.ErrState)
	}
	return nil, fmt.Errorf("line of vm %s: %w", id, err)
}

// known tells, without libvirtd, whether the VM is defined.
func (d *Driver) known(id vm.ID) error {
	if err := hypervisor.CheckID(id); err != nil {
		return err
	}
	has, err := exists(d.vmDir(id))
	if err != nil {
		return fmt.Errorf("vm %s: %w", id, err)
	}
	if !has {
		return fmt.Errorf("vm %s: %w", id, hypervisor.ErrNotFound)
	}
	return nil
}

// ConsoleLog implements hypervisor.Console. virtlogd turns the log over from time to
// time, so the tail may begin in an older file.
func (d *Driver) ConsoleLog(_ context.Context, id vm.ID) ([]byte, error) {
	if err := d.known(id); err != nil {
		return nil, err
	}
	newest, err := tail(d.consoleLog(id), hypervisor.ConsoleLogBytes)
	if err != nil {
		return nil, fmt.Errorf("console log of vm %s: %w", id, err)
	}
	older, err := tail(d.consoleLog(id)+".0", hypervisor.ConsoleLogBytes-len(newest))
	if err != nil {
		return nil, fmt.Errorf("console log of vm %s: %w", id, err)
	}
	return append(older, newest...), nil
}

// tail returns the last n bytes of a file, nothing if there is none.
func tail(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) || n <= 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(0, size-int64(n)), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, int64(n)))
}
