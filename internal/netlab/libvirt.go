package netlab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// madePoints, in the base folder, lists the mount points made for libvirt.
const madePoints = "made"

func libvirtFolders() map[string]string {
	return map[string]string{
		"etc": "/etc/libvirt", "run": "/run/libvirt", "lib": "/var/lib/libvirt",
		"log": "/var/log/libvirt", "cache": "/var/cache/libvirt",
	}
}

// libvirtdConf lets root in without asking anyone, and nobody else.
const libvirtdConf = `auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
`

// prepareLibvirt makes private folders to bind over libvirt's own. The base is
// locked.
func (l *Lab) prepareLibvirt() error {
	private := filepath.Join(l.dir, "libvirt")
	for name, point := range libvirtFolders() {
		if err := os.MkdirAll(filepath.Join(private, name), 0o755); err != nil {
			return err
		}
		if err := makePoint(point); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(private, "etc", "libvirtd.conf"), []byte(libvirtdConf), 0o600); err != nil {
		return err
	}
	return nil
}

// makePoint makes a mount point and remembers it, if it does not exist.
func makePoint(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	made, err := os.OpenFile(filepath.Join(baseDir, madePoints), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(made, path)
	return errors.Join(err, made.Close(), os.MkdirAll(path, 0o755))
}

// LibvirtSocket is the path, from outside, of the lab's libvirtd's socket.
func (l *Lab) LibvirtSocket() string { return filepath.Join(l.dir, "libvirt", "run", "libvirt-sock") }

// LibvirtRunDir is the path, from outside, of the lab's /run/libvirt.
func (l *Lab) LibvirtRunDir() string { return filepath.Join(l.dir, "libvirt", "run") }

// enterCgroups runs its arguments in the lab's cgroups.
const enterCgroups = `if [ -e /sys/fs/cgroup/daemons ]; then
  echo 0 > /sys/fs/cgroup/daemons/cgroup.procs
else
  for g in /sys/fs/cgroup/*/cgroup.procs; do echo 0 > "$g"; done
fi
exec "$@"`

// StartLibvirt starts libvirtd and virtlogd in the lab, those that do not run,
// and returns when libvirtd answers. They end with StopLibvirt or the lab.
func (l *Lab) StartLibvirt(ctx context.Context) error {
	if !l.opts.Libvirt {
		return fmt.Errorf("lab %s was made without libvirt", l.name)
	}
	for _, d := range []struct{ program, socket string }{
		{"virtlogd", filepath.Join(l.LibvirtRunDir(), "virtlogd-sock")},
		{"libvirtd", l.LibvirtSocket()},
	} {
		if answers(ctx, d.socket) {
			continue
		}
		log, err := os.OpenFile(filepath.Join(l.dir, d.program+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		// Daemons outlive ctx, like the lab.
		c := l.Command(context.WithoutCancel(ctx), "bash", "-c", enterCgroups, "bash",
			d.program, "--pid-file", filepath.Join(l.LibvirtRunDir(), d.program+".pid")) // /run itself is shared
		c.Stdout, c.Stderr = log, log
		err = errors.Join(c.Start(), log.Close())
		if err != nil {
			return fmt.Errorf("start %s in lab %s: %w", d.program, l.name, err)
		}
		l.mu.Lock()
		l.daemons = append(l.daemons, c)
		l.mu.Unlock()
		if err := l.awaitSocket(ctx, c, d.program, d.socket); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) awaitSocket(ctx context.Context, c *Cmd, program, socket string) error {
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if answers(ctx, socket) {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("%s in lab %s ended: %w: %s", program, l.name, err, l.complaint(program))
		case <-ctx.Done():
			return fmt.Errorf("%s in lab %s does not answer: %w: %s", program, l.name, ctx.Err(), l.complaint(program))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (l *Lab) complaint(program string) string {
	text, _ := os.ReadFile(filepath.Join(l.dir, program+".log"))
	return string(text[max(0, len(text)-2000):])
}

func answers(ctx context.Context, socket string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// StopLibvirt kills libvirtd the hard way and waits for its end. VMs and
// virtlogd run on.
func (l *Lab) StopLibvirt() {
	l.mu.Lock()
	daemons := l.daemons
	l.daemons = nil
	l.mu.Unlock()
	for _, c := range daemons {
		if !slices.Contains(c.Args, "libvirtd") {
			l.mu.Lock()
			l.daemons = append(l.daemons, c)
			l.mu.Unlock()
			continue
		}
		_ = unix.Kill(c.Process.Pid, unix.SIGKILL)
		_ = c.Wait() // killed: always an error
	}
}
