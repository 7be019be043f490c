// Package leftover tells what a run has left behind on a host: interfaces,
// network namespaces, mounts, firewall rules, cgroups and processes that were
// not there before.
package leftover

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Snapshot is what a host holds at one time, each thing in one line.
type Snapshot map[string]struct{}

// Take looks at the host. Processes count only if their program's name
// begins with one of programs, because others come and go by themselves.
func Take(ctx context.Context, programs ...string) (Snapshot, error) {
	s := Snapshot{}
	return s, errors.Join(s.interfaces(), s.namespaces(), s.mounts(), s.rules(ctx), s.cgroups(), s.processes(programs))
}

// Since lists what is in s and was not in before, sorted.
func (s Snapshot) Since(before Snapshot) []string {
	var out []string
	for line := range maps.Keys(s) {
		if _, ok := before[line]; !ok {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

func (s Snapshot) add(kind, what string) { s[kind+" "+what] = struct{}{} }

func (s Snapshot) interfaces() error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range all {
		s.add("interface", i.Name)
	}
	return nil
}

// namespaces finds those with a name, and those only some process is in.
func (s Snapshot) namespaces() error {
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list network namespaces: %w", err)
	}
	for _, e := range entries {
		s.add("netns", e.Name())
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return fmt.Errorf("list network namespaces: %w", err)
	}
	for _, l := range links {
		if ns, err := os.Readlink(l); err == nil { // a process that has just gone has none
			s.add("netns", ns)
		}
	}
	return nil
}

func (s Snapshot) mounts() error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			s.add("mount", f[4])
		}
	}
	return nil
}

func (s Snapshot) rules(ctx context.Context) error {
	path, err := exec.LookPath("nft")
	if err != nil || os.Geteuid() != 0 {
		return nil //nolint:nilerr // without nft or root nobody has made rules with it
	}
	out, err := exec.CommandContext(ctx, path, "list", "tables").Output()
	if err != nil {
		return fmt.Errorf("list firewall tables: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		s.add("nft", strings.TrimSpace(lines.Text()))
	}
	return lines.Err()
}

// cgroups counts those that libvirt and labs make; the rest is the host's own.
func (s Snapshot) cgroups() error {
	for _, pattern := range []string{"/sys/fs/cgroup/machine*", "/sys/fs/cgroup/*/machine*", "/sys/fs/cgroup/*hip*", "/sys/fs/cgroup/*/*hip*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("list cgroups: %w", err)
		}
		for _, f := range found {
			s.add("cgroup", f)
		}
	}
	return nil
}

func (s Snapshot) processes(programs []string) error {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, d := range dirs {
		if _, err := strconv.Atoi(d.Name()); err != nil || d.Name() == strconv.Itoa(os.Getpid()) {
			continue
		}
		comm, err := os.ReadFile(filepath.Join("/proc", d.Name(), "comm"))
		if err != nil {
			continue // it has just gone
		}
		name := strings.TrimSpace(string(comm))
		if slices.ContainsFunc(programs, func(p string) bool { return strings.HasPrefix(name, p) }) {
			s.add("process", name+" "+d.Name())
		}
	}
	return nil
}
