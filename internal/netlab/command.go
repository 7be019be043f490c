package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"
)

// Cmd is an exec.Cmd that runs inside a lab. Its pid, as Process has it, is
// the one seen from outside.
type Cmd struct {
	*exec.Cmd
	lab  *Lab
	wait func() error
}

// Command prepares a program to run inside the lab: in its network, mounts
// and process namespaces, with the caller's environment. The program is looked
// up outside. It is killed when ctx ends, and at the latest with the lab.
func (l *Lab) Command(ctx context.Context, argv ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), lab: l}
	// Ctrl-C at the owner's terminal is for the owner, who ends the rest in order.
	c.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	c.wait = sync.OnceValue(func() error {
		err := c.Cmd.Wait()
		l.mu.Lock()
		delete(l.running, c)
		l.mu.Unlock()
		return err
	})
	return c
}

// Start is exec.Cmd's, inside the lab.
func (c *Cmd) Start() error {
	c.lab.mu.Lock()
	defer c.lab.mu.Unlock()
	if c.lab.closed {
		return fmt.Errorf("start %s: lab %s is closed", c.Path, c.lab.name)
	}
	err := onOwnThread(func() error {
		// A thread that shares its folder with others cannot change mounts.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		ns := c.lab.ns
		if err := errors.Join(
			setns(ns.net, unix.CLONE_NEWNET), setns(ns.ipc, unix.CLONE_NEWIPC),
			setns(ns.pid, unix.CLONE_NEWPID), setns(ns.mnt, unix.CLONE_NEWNS),
		); err != nil {
			return err
		}
		if c.Dir == "" {
			c.Dir = "/" // joining mounts has moved this thread there anyway
		}
		return c.Cmd.Start()
	})
	if err == nil {
		c.lab.running[c] = struct{}{}
	}
	return err
}

// Wait is exec.Cmd's, and may be called more than once.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return errors.New("not started")
	}
	return c.wait()
}

// Run starts the program and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it wrote to its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns all it wrote.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Do runs f in the lab's network on a thread of its own; everything else is
// the caller's. Sockets that f opens stay in the lab's network for good.
// Goroutines that f starts do not run in it.
func (l *Lab) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := setns(l.ns.net, unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}
