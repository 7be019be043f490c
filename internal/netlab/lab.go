// Package netlab makes small worlds to run the daemons of several hosts
// on one: each lab is a set of Linux namespaces (network, mounts, processes,
// and on wish cgroups with a libvirtd of its own), joined to others and to the
// host by veth pairs. Tests and the devnet share it.
//
// Nothing of a lab outlives its owner, not even when the owner is killed: all
// its processes hang on one init, which the kernel kills together with the
// process that made it, and with the last process go the network, the mounts
// and the interfaces. The little that the kernel leaves, a folder and empty
// cgroups, is found and removed when the next lab is made.
//
// It needs root, bash and util-linux; with Libvirt also libvirtd, virtlogd.
package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRoot is returned by New to a process that may not make namespaces.
var ErrNotRoot = errors.New("network labs need root")

// Options for New.
type Options struct {
	// Libvirt prepares private folders and cgroups for a libvirtd; start it
	// with StartLibvirt.
	Libvirt bool
}

// Lab is one small world. Its methods may be called concurrently, Close last.
type Lab struct {
	name    string
	dir     string
	opts    Options
	init    *exec.Cmd
	stdin   *os.File // the init lives until this closes
	ns      nsSet
	cgroups []string

	mu      sync.Mutex
	running map[*Cmd]struct{}
	daemons []*Cmd
	links   []string // host ends
	closed  bool
}

// baseDir holds one folder for each lab of this host. Its paths have to
// stay short: unix sockets lie in them.
const baseDir = "/run/hippius-lab"

// nameForm: it ends up in paths, cgroups and command lines.
func validName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,23}$`).MatchString(name)
}

// New makes a lab called name (1 to 24 lower-case letters, digits and dashes,
// unique on this host), with only a loopback interface, which is up. It
// first removes what owners that died left behind. ctx bounds New only.
func New(ctx context.Context, name string, opts Options) (lab *Lab, err error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	if !validName(name) {
		return nil, fmt.Errorf("lab name %.40q", name)
	}
	unlock, err := lockBase()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(); err != nil {
		return nil, fmt.Errorf("remove stale labs: %w", err)
	}

	l := &Lab{name: name, dir: filepath.Join(baseDir, name), opts: opts, running: make(map[*Cmd]struct{})}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.teardown())
		}
	}()
	if err := writeOwner(l.dir); err != nil {
		return nil, err
	}
	if opts.Libvirt {
		if err := l.prepareLibvirt(); err != nil {
			return nil, fmt.Errorf("lab %s: %w", name, err)
		}
	}
	if err := l.startInit(ctx); err != nil {
		return nil, fmt.Errorf("lab %s: %w", name, err)
	}
	return l, nil
}

// Name returns the lab's name.
func (l *Lab) Name() string { return l.name }

// Dir returns a folder of the lab's own, the same path inside and outside,
// removed by Close.
func (l *Lab) Dir() string { return filepath.Join(l.dir, "home") }

// Close ends every process in the lab and removes all of it. It returns when
// nothing is left, or says what is. Closing again does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	unlock, err := lockBase()
	if err != nil {
		return err
	}
	defer unlock()
	return l.teardown()
}

// teardown removes everything of l, however far New got.
func (l *Lab) teardown() error {
	var errs []error
	if l.init != nil && l.init.Process != nil {
		if err := l.init.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	if l.stdin != nil {
		_ = l.stdin.Close()
	}
	// The init cannot end before each process of the lab has been reaped, and
	// the ones started from here are reaped by Wait.
	l.mu.Lock()
	for c := range l.running {
		go func() { _ = c.Wait() }()
	}
	l.mu.Unlock()
	if l.init != nil && l.init.Process != nil {
		ended := make(chan struct{})
		go func() {
			_ = l.init.Wait() // killed: always an error
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			errs = append(errs, fmt.Errorf("init of lab %s (pid %d) does not end", l.name, l.init.Process.Pid))
		}
	}
	l.ns.close()
	for _, name := range l.links {
		errs = append(errs, removeLink(name))
	}
	for _, path := range l.cgroups {
		errs = append(errs, removeCgroup(path))
	}
	errs = append(errs, os.RemoveAll(l.dir), sweepBase())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close lab %s: %w", l.name, err)
	}
	return nil
}

// initScript is process 1 of a lab. It sees the caller's mounts but shares
// none, has a /proc of its own, and waits for its standard input to end; bash
// reaps what is orphaned meanwhile. $1 is the lab's folder.
const initScript = `set -eu
read -r _                                # until the cgroups hold this process
mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
if [ -e "$1/libvirt" ]; then exec unshare --cgroup bash -c "$2" hippius-lab "$1"; fi
echo ready
while read -r _; do :; done
`

// libvirtScript goes on where initScript ends in a lab with a libvirtd: a
// /sys that knows this network, cgroups rooted at the lab's own, and private
// folders for libvirt.
const libvirtScript = `set -eu
mount -t sysfs sysfs /sys
if [ -e "$1/cgroup2" ]; then
  # In version 2 a group that hands controllers down holds no processes.
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir /sys/fs/cgroup/daemons
  echo 0 > /sys/fs/cgroup/daemons/cgroup.procs
else
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  while IFS=: read -r _ controllers _; do
    case $controllers in
      "") at=unified; how="-t cgroup2" ;;
      name=*) at=${controllers#name=}; how="-t cgroup -o none,$controllers" ;;
      *) at=$controllers; how="-t cgroup -o $controllers" ;;
    esac
    mkdir -p "/sys/fs/cgroup/$at"
    mount $how cgroup "/sys/fs/cgroup/$at"
  done < /proc/self/cgroup
fi
# libvirtd probes QEMU anew at every turn when root may use KVM but QEMU's user
# may not; here both may, as on a host that is set up for it.
if [ -e /dev/kvm ]; then
  mkdir "$1/libvirt/dev"
  mount -t tmpfs -o mode=755 tmpfs "$1/libvirt/dev"
  mknod -m 666 "$1/libvirt/dev/kvm" c 10 232
  mount --bind "$1/libvirt/dev/kvm" /dev/kvm
fi
# The host's systemd is not to look after this libvirtd's VMs.
if [ -d /run/dbus ]; then mount -t tmpfs -o mode=755 tmpfs /run/dbus; fi
for pair in etc:/etc/libvirt run:/run/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
  mount --bind "$1/libvirt/${pair%%:*}" "${pair#*:}"
done
echo ready
while read -r _; do :; done
`

// startInit starts the lab's process 1 in new namespaces and waits until it
// has set them up.
func (l *Lab) startInit(ctx context.Context) error {
	if err := os.Mkdir(l.Dir(), 0o755); err != nil {
		return err
	}
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, stdout, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdin.Close())
	}
	defer func() { _ = out.Close() }()
	l.stdin = stdin
	var complaint strings.Builder
	// The lab outlives ctx, so the process is not bound to it.
	l.init = exec.Command("bash", "-c", initScript, "hippius-lab", l.dir, libvirtScript) //nolint:noctx // see above
	l.init.Stdin, l.init.Stdout, l.init.Stderr = in, stdout, &complaint
	l.init.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	err = startOnLastingThread(l.init)
	_ = stdout.Close()
	if err != nil {
		l.init = nil
		return fmt.Errorf("start init: %w", err)
	}
	pid := l.init.Process.Pid
	if err := errors.Join(writeInit(l.dir, pid), l.joinCgroups(pid)); err != nil {
		return err
	}
	if _, err := stdin.WriteString("go\n"); err != nil {
		return fmt.Errorf("start init: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = out.SetReadDeadline(deadline)
	} else {
		_ = out.SetReadDeadline(time.Now().Add(30 * time.Second))
	}
	buf := make([]byte, 16)
	if n, err := out.Read(buf); string(buf[:n]) != "ready\n" {
		_ = l.init.Process.Kill()
		_ = l.init.Wait() // also collects the complaint
		defer func() { l.init = nil }()
		return fmt.Errorf("init said %q: %w: %s", buf[:n], errors.Join(err, ctx.Err()), complaint.String())
	}
	l.ns, err = openNS(pid)
	return err
}
