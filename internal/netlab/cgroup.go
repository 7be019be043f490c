package netlab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const cgroupPrefix = "hippius-lab-"

// cgroupParents returns the folder, in each cgroup hierarchy, under which labs
// get theirs: in a version 1 hierarchy this process's own group, so that what
// limits it limits its labs; in version 2 the top, because a group that holds
// processes cannot hand controllers down.
func cgroupParents() (parents []string, pure2 bool) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, false
	}
	pure2 = true
	for line := range strings.Lines(string(own)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if controllers == "" {
			continue
		}
		pure2 = false
		root := filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(controllers, "name="))
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err == nil {
			parents = append(parents, filepath.Join(root, path))
		}
	}
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
			parents = append(parents, root)
		}
	}
	return parents, pure2
}

// labCgroups returns the folders of a lab in all hierarchies, existing or not.
func labCgroups(name string) []string {
	parents, _ := cgroupParents()
	for i, p := range parents {
		parents[i] = filepath.Join(p, cgroupPrefix+name)
	}
	return parents
}

// joinCgroups makes the lab's cgroups and puts pid into them.
func (l *Lab) joinCgroups(pid int) error {
	if !l.opts.Libvirt {
		return nil
	}
	_, pure2 := cgroupParents()
	for _, path := range labCgroups(l.name) {
		// One that is there was left by an owner whose folder went with a mount
		// of its own; if it lives, its groups cannot be removed.
		if err := removeCgroup(path); err != nil {
			return fmt.Errorf("lab %s has cgroups already: %w", l.name, err)
		}
		if err := os.Mkdir(path, 0o755); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		l.cgroups = append(l.cgroups, path)
		if err := inheritCpuset(path); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	if pure2 {
		return os.WriteFile(filepath.Join(l.dir, "cgroup2"), nil, 0o600)
	}
	return nil
}

// inheritCpuset fills what a version 1 cpuset leaves empty, and without which
// it takes no process.
func inheritCpuset(path string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(path), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && strings.TrimSpace(string(value)) != "" {
			err = os.WriteFile(filepath.Join(path, file), value, 0o600)
		}
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroup removes a group whose processes have ended, with all below it.
func removeCgroup(path string) error {
	var err error
	for range 100 {
		if err = removeTree(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // the kernel lets go a little later
	}
	return fmt.Errorf("remove cgroup: %w", err)
}

func removeTree(path string) error {
	var dirs []string
	err := filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) { // children first
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}
