package devnet

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The programs of a network have names: validator0, sentinel0, gateway0,
// miner0, and libvirtd0 for the libvirtd of miner0. Kill and Restart are what a
// crash and systemd are to them. Neither is to be called beside another method.

const libvirtdName = "libvirtd"

// Kill ends a program as a crash would, with no chance to tidy up, and returns
// when it is gone. What it started runs on.
func (n *Net) Kill(name string) error {
	if m := n.libvirtdOf(name); m != nil {
		m.lab.StopLibvirt()
		return nil
	}
	r := n.find(name)
	if r == nil {
		return fmt.Errorf("kill %s: %w", name, n.noProgram())
	}
	if r.pid == 0 {
		return fmt.Errorf("kill %s: it runs inside this process; only with libvirt are programs processes", name)
	}
	if err := syscall.Kill(r.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	<-r.ended
	n.running = slices.DeleteFunc(n.running, func(other *running) bool { return other == r })
	n.down = append(n.down, r.program)
	return nil
}

func (n *Net) find(name string) *running {
	for _, r := range n.running {
		if r.name == name {
			return r
		}
	}
	return nil
}

// libvirtdOf gives the miner whose libvirtd has this name, or nil.
func (n *Net) libvirtdOf(name string) *minerHost {
	number, isLibvirtd := strings.CutPrefix(name, libvirtdName)
	i, err := strconv.Atoi(number)
	if !isLibvirtd || err != nil || i < 0 || i >= len(n.miners) || n.miners[i].lab == nil {
		return nil
	}
	return n.miners[i]
}

func (n *Net) noProgram() error {
	var names []string
	for _, r := range n.running {
		names = append(names, r.name)
	}
	return errors.New("no such program runs; there are " + strings.Join(names, ", ") + ", and " + libvirtdName + " with the number of a miner")
}
