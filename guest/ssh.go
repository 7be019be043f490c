package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// The instance's host key lies in a folder of its own: cloud-init deletes
// /etc/ssh/ssh_host_* on a first boot, perhaps after the agent has started.
const (
	hostKeyFile  = "/etc/ssh/hippius/host_key"
	hostCertFile = hostKeyFile + "-cert.pub"
	dropInDir    = "/etc/ssh/sshd_config.d"
	dropInFile   = dropInDir + "/10-hippius.conf"
	mainFile     = "/etc/ssh/sshd_config"
)

const dropIn = `# Written by hippius-guest at each start of the VM.
HostKey ` + hostKeyFile + `
HostCertificate ` + hostCertFile + `
`

// InstallHostKey puts key (an OpenSSH private key) and certificate in place for
// sshd. It writes only what differs and reports whether anything did.
func (s *System) InstallHostKey(key, cert string) (bool, error) {
	changed := false
	for _, f := range []struct {
		name, content string
		mode          fs.FileMode
	}{
		{hostKeyFile, terminated(key), 0o600},
		{hostCertFile, terminated(cert), 0o644},
		{dropInFile, dropIn, 0o644},
	} {
		c, err := s.put(f.name, []byte(f.content), f.mode)
		if err != nil {
			return changed, fmt.Errorf("install SSH host key: %w", err)
		}
		changed = changed || c
	}
	c, err := s.includeDropIns()
	if err != nil {
		return changed, fmt.Errorf("install SSH host key: %w", err)
	}
	return changed || c, nil
}

// includeDropIns makes sshd read the folder of drop-ins, where it does not yet.
func (s *System) includeDropIns() (bool, error) {
	old, err := os.ReadFile(s.path(mainFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for line := range strings.Lines(string(old)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.EqualFold(fields[0], "Include") && strings.HasPrefix(fields[1], dropInDir) {
			return false, nil
		}
	}
	return s.put(mainFile, append([]byte("Include "+dropInDir+"/*.conf\n"), old...), 0o644)
}

// put writes a file whole or not at all, unless it is so already.
func (s *System) put(name string, content []byte, mode fs.FileMode) (bool, error) {
	path := s.path(name)
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm() == mode && info.Size() == int64(len(content)) {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			return false, nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	if err := renameio.WriteFile(path, content, mode, renameio.IgnoreUmask()); err != nil {
		return false, err
	}
	return true, nil
}

func terminated(s string) string { return strings.TrimRight(s, "\n") + "\n" }

// Listener is a running sshd that answers new connections.
type Listener struct {
	PID int
	// Started is the VM's uptime when the process began.
	Started time.Duration
}

// SSHListener finds it by sshd's pid file, which sshd writes only when it can
// be asked to reload. ok is false while there is none.
func (s *System) SSHListener() (l Listener, ok bool) {
	text, err := os.ReadFile(s.path("run/sshd.pid"))
	if err != nil {
		return Listener{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return Listener{}, false
	}
	stat, err := s.proc(strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Listener{}, false
	}
	// pid (name) state ppid …: the name may hold spaces and parentheses.
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open || stat[open+1:end] != "sshd" {
		return Listener{}, false
	}
	fields := strings.Fields(stat[end+1:])
	const startField = 22 - 3 // proc(5) counts from 1, fields from the state
	if len(fields) <= startField {
		return Listener{}, false
	}
	ticks, err := strconv.ParseInt(fields[startField], 10, 64)
	if err != nil {
		return Listener{}, false
	}
	return Listener{PID: pid, Started: time.Duration(ticks) * 10 * time.Millisecond}, true
}

// ReloadSSH makes a listener read its keys again; connections live on.
func (s *System) ReloadSSH(l Listener) error {
	if err := syscall.Kill(l.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload sshd (pid %d): %w", l.PID, err)
	}
	return nil
}
