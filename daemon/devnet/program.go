package devnet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hippius/compute/internal/netlab"
)

// stopWithin is how long a program may take to end when asked, before it is killed.
const stopWithin = 20 * time.Second

// program is one of the network's programs, run as a process or inside this one.
type program struct {
	// name is unique in the network, such as "miner1"; its log and settings are called after it.
	name string
	// binary and args run it as a process, in lab if there is one.
	binary string
	args   []string
	lab    *netlab.Lab
	// inside runs it in this process until ctx ends.
	inside func(ctx context.Context, log *slog.Logger) error
}

// running is a started program.
type running struct {
	name string
	stop func(ctx context.Context) error
	// ended closes when it has ended, by itself or not; err is why.
	ended chan struct{}
	err   error
	pid   int
	// program that it is, to start it again.
	program program
}

// start starts p as a process if the network has binaries, else inside.
func (n *Net) start(p program) (*running, error) {
	if n.set.Driver == Libvirt || n.set.Processes {
		return n.startProcess(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{name: p.name, ended: make(chan struct{}), program: p}
	go func() {
		defer close(r.ended)
		r.err = p.inside(ctx, n.set.Log.With("program", p.name))
	}()
	r.stop = func(ctx context.Context) error {
		cancel()
		select {
		case <-r.ended:
			return r.err
		case <-ctx.Done():
			return fmt.Errorf("%s does not end: %w", p.name, ctx.Err())
		}
	}
	return r, nil
}

// process is what exec.Cmd and netlab.Cmd share.
type process interface {
	Start() error
	Wait() error
}

func (n *Net) startProcess(p program) (*running, error) {
	log, err := os.OpenFile(n.path(p.name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", p.name, err)
	}
	defer log.Close() //nolint:errcheck // the program has its own handle
	argv := append([]string{cmp.Or(n.set.Programs[p.binary], filepath.Join(n.set.Bin, p.binary))}, p.args...)
	var proc process
	var cmd *exec.Cmd
	if p.lab != nil {
		c := p.lab.Command(context.Background(), argv...)
		proc, cmd = c, c.Cmd
	} else {
		cmd = exec.CommandContext(context.Background(), argv[0], argv[1:]...)
		// It ends with the thread that starts it, which therefore lives as long as this process.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		proc = cmd
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := n.spawner.do(proc.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	r := &running{name: p.name, ended: make(chan struct{}), pid: cmd.Process.Pid, program: p}
	go func() {
		defer close(r.ended)
		r.err = proc.Wait()
	}()
	r.stop = func(ctx context.Context) error { return r.end(ctx, cmd.Process) }
	return r, nil
}

// end asks a process to end, and kills it when it does not.
func (r *running) end(ctx context.Context, p *os.Process) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", r.name, err)
	}
	select {
	case <-r.ended:
		if _, ok := errors.AsType[*exec.ExitError](r.err); ok {
			return fmt.Errorf("%s ended with %w", r.name, r.err)
		}
		return nil
	case <-ctx.Done():
	case <-time.After(stopWithin):
	}
	err := p.Kill()
	<-r.ended
	return errors.Join(fmt.Errorf("%s did not end within %s and was killed", r.name, stopWithin), err)
}

// writeSettings writes a daemon's settings file and gives its path.
func (n *Net) writeSettings(name string, settings any) (string, error) {
	data, err := yaml.Marshal(settings)
	if err != nil {
		return "", fmt.Errorf("settings of %s: %w", name, err)
	}
	path := n.path(name + ".yaml")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("settings of %s: %w", name, err)
	}
	return path, nil
}

// spawner starts processes from one thread that never ends before the
// network: the kernel kills a child when the thread that made it ends.
type spawner struct {
	once  sync.Once
	calls chan func()
}

func (s *spawner) do(f func() error) error {
	s.once.Do(func() {
		s.calls = make(chan func())
		go s.serve()
	})
	done := make(chan error, 1)
	s.calls <- func() { done <- f() }
	return <-done
}
