package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/internal/testkit"
)

// opensshWithin bounds one call of OpenSSH's programs; VMs here are emulated.
const opensshWithin = 2 * time.Minute

// openssh is somebody's OpenSSH, which knows VMs from the file that
// `hippius ssh-config` wrote and nothing of hippius beside.
type openssh struct {
	t      *testing.T
	dir    string
	config string
	env    []string
}

// call runs a program in its user's folder and gives what it printed.
func (o *openssh) call(stdin io.Reader, program string, args ...string) (string, error) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), opensshWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = o.env, o.dir, stdin
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	o.t.Logf("%s %q: %v\n%s%s", program, args, err, &out, &said)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, &said)
	}
	return out.String(), nil
}

// must is a call that has to succeed.
func (o *openssh) must(stdin io.Reader, program string, args ...string) string {
	o.t.Helper()
	out, err := o.call(stdin, program, args...)
	if err != nil {
		o.t.Errorf("%s %q: %v", program, args, err)
	}
	return out
}

// ssh runs a command on a VM, and offers one key alone.
func (o *openssh) ssh(key, host, command string) (string, error) {
	o.t.Helper()
	return o.call(nil, "ssh", "-F", o.config, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", key, host, command)
}

// opens tells whether a key lets in: refused it is only by the VM, and for the key.
func (o *openssh) opens(key, host string) bool {
	o.t.Helper()
	out, err := o.ssh(key, host, "id -un")
	switch {
	case err != nil && !strings.Contains(err.Error(), "Permission denied (publickey)"):
		o.t.Errorf("%s: refused otherwise than for the key: %v", filepath.Base(key), err)
	case err == nil && out != "hippius\n":
		o.t.Errorf("%s: we are %q", filepath.Base(key), out)
	}
	return err == nil
}

// copies carries files there and back by scp, sftp and rsync.
func (o *openssh) copies(host string) {
	o.t.Helper()
	data := bytes.Repeat([]byte("a line of a file\n"), 40_000)
	for _, name := range []string{"sent", "tree/of files/one", "tree/two"} {
		file := filepath.Join(o.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			o.t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	back := func(name string) {
		o.t.Helper()
		got, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil || !bytes.Equal(got, data) {
			o.t.Errorf("%s: %d bytes came back of %d, %v", name, len(got), len(data), err)
		}
	}
	o.must(nil, "scp", "-F", o.config, "sent", host+":by-scp")
	o.must(nil, "scp", "-F", o.config, host+":by-scp", "from-scp")
	back("from-scp")
	o.must(nil, "scp", "-O", "-F", o.config, host+":by-scp", "from-old-scp") // its protocol of before OpenSSH 9
	back("from-old-scp")
	o.must(strings.NewReader("put sent by-sftp\nget by-sftp from-sftp\n"), "sftp", "-F", o.config, "-b", "-", host)
	back("from-sftp")

	through := "ssh -F '" + o.config + "'"
	o.must(nil, "rsync", "-a", "-e", through, "tree/", host+":tree/")
	if out := o.must(nil, "rsync", "-ai", "-e", through, "tree/", host+":tree/"); out != "" {
		o.t.Errorf("rsync copied what was there: %q", out)
	}
	o.must(nil, "rsync", "-a", "-e", through, host+":tree/", "from-rsync/")
	back("from-rsync/of files/one")
	back("from-rsync/two")
}

// forwards has ports of either side reach the other.
func (o *openssh) forwards(host string) {
	o.t.Helper()
	const word = "from the laptop\n"
	l := testkit.Listen(o.t)
	defer func() { _ = l.Close() }()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed above
			}
			_, _ = io.WriteString(conn, word)
			_ = conn.Close()
		}
	}()
	local, socks := freePort(o.t), freePort(o.t)
	ctx, cancel := context.WithCancel(o.t.Context())
	cmd := exec.CommandContext(ctx, "ssh", "-F", o.config, "-N", "-o", "ExitOnForwardFailure=yes",
		"-L", local+":127.0.0.1:22", "-D", socks, "-R", "127.0.0.1:4022:"+l.Addr().String(), host)
	cmd.Env, cmd.Cancel = o.env, func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was told to end
	}()
	var d net.Dialer
	o.banner("-L", func() (net.Conn, error) { return d.DialContext(ctx, "tcp", local) })
	o.banner("-D", func() (net.Conn, error) { return socksTo(ctx, socks, 22) })
	// The VM took the third request before what the first two carried.
	if out := o.must(nil, "ssh", "-F", o.config, host, "nc 127.0.0.1 4022 </dev/null"); out != word {
		o.t.Errorf("-R: the VM heard %q", out)
	}
}

// banner waits until the VM's own sshd answers.
func (o *openssh) banner(what string, dial func() (net.Conn, error)) {
	o.t.Helper()
	const want = "SSH-2.0-"
	testkit.Eventually(o.t, opensshWithin, func() error {
		conn, err := dial()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		defer func() { _ = conn.Close() }()
		got := make([]byte, len(want))
		if err := conn.SetReadDeadline(time.Now().Add(opensshWithin)); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			return fmt.Errorf("%s: the VM says %q, %w", what, got, err)
		}
		return nil
	})
}

// freePort is an address of the loopback on which nothing listened just now.
func freePort(t *testing.T) string {
	t.Helper()
	l := testkit.Listen(t)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// socksTo reaches a port of the far side's own through a SOCKS 5 server (RFC 1928).
func socksTo(ctx context.Context, server string, port uint16) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	answer := make([]byte, 2+10)
	_, err = conn.Write([]byte{5, 1, 0})
	if err == nil {
		_, err = io.ReadFull(conn, answer[:2])
	}
	if err == nil {
		_, err = conn.Write([]byte{5, 1, 0, 1, 127, 0, 0, 1, byte(port >> 8), byte(port)})
	}
	if err == nil {
		_, err = io.ReadFull(conn, answer[2:])
	}
	if err == nil && answer[3] != 0 {
		err = fmt.Errorf("the SOCKS server refused: %d", answer[3])
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
