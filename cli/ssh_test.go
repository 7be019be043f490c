package cli

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/tenant"
)

// oddFolders are names that shells and ssh's own parser would take apart.
func oddFolders() []string {
	return []string{"plain", "with space", "it's", `double"quote`, "per%cent%h", "dollar$HOME", "~tilde", "back`tick`", `back\slash`, "semi;colon&#", "tab\there", "ümläut"}
}

func sshVM(t *testing.T, m tenant.Maker) vm.VM {
	t.Helper()
	return vm.VM{
		ID:   testVM,
		Spec: vm.Spec{Name: "web-1", MeshAddress: vmAddr(t).String(), HostCA: m.Host.Public()},
	}
}

// oddDesk is a home folder within dir, and beside it a program that writes down what it was called with.
func oddDesk(t *testing.T, dir string) (d *desk, called string) {
	t.Helper()
	d = newDesk(t)
	odd := filepath.Join(d.dir, dir)
	d.env.Home, d.env.Self, called = filepath.Join(odd, "home"), filepath.Join(odd, "hippius"), filepath.Join(d.dir, "called")
	if err := d.ensureHome(); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nfor a; do printf '%s\\0' \"$a\"; done > " + shellQuotePlain(called) + "\nexit 3\n"
	if err := os.WriteFile(d.env.Self, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return d, called
}

func hostCert(t *testing.T, b instance.Bundle) *ssh.Certificate {
	t.Helper()
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.SSHHostCert))
	if err != nil {
		t.Fatal(err)
	}
	cert, ok := pub.(*ssh.Certificate)
	if !ok {
		t.Fatalf("%s is no certificate", b.SSHHostCert)
	}
	return cert
}

func shellQuotePlain(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func needSSH(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("needs OpenSSH's client; it runs where openssh-client is installed, as in CI")
	}
	return path
}

// ssh, asked what it understood, looks for the host key where we put it, whatever the home folder is called.
func TestSSHUnderstandsOddHomes(t *testing.T) {
	path := needSSH(t)
	m := newMaker(t, testVM)
	for _, dir := range oddFolders() {
		d, _ := oddDesk(t, dir)
		args, err := d.sshArgs(sshFlags{}, sshVM(t, m))
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), path, append([]string{"-G", "-F", "none"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", dir, err, out)
			continue
		}
		understood := map[string]string{}
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
			understood[key] = value
		}
		for key, want := range map[string]string{
			"userknownhostsfile": d.path("known_hosts.d/" + testVM), "globalknownhostsfile": "/dev/null",
			"stricthostkeychecking": "true", "hostkeyalias": testVM, "user": defaultUser, "hostname": vmAddr(t).String(),
			"passwordauthentication": "no", "hostkeyalgorithms": "ssh-ed25519-cert-v01@openssh.com",
		} {
			if understood[key] != want {
				t.Errorf("%s: %s is %q, want %q", dir, key, understood[key], want)
			}
		}
	}
}

// ssh starts the proxy as this very program with this very home folder.
func TestSSHStartsTheProxyFromOddHomes(t *testing.T) {
	path := needSSH(t)
	m := newMaker(t, testVM)
	for _, dir := range oddFolders() {
		d, called := oddDesk(t, dir)
		args, err := d.sshArgs(sshFlags{}, sshVM(t, m))
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), path, append([]string{"-F", "none", "-T"}, args...)...).CombinedOutput()
		if err == nil {
			t.Errorf("%s: ssh got in through a proxy that ended", dir)
		}
		got, err := os.ReadFile(called)
		if err != nil {
			t.Errorf("%s: the proxy was not started: %v\n%s", dir, err, out)
			continue
		}
		want := []string{"ssh-proxy", "--home", d.env.Home, vmAddr(t).String(), "22"}
		if words := strings.Split(strings.TrimSuffix(string(got), "\x00"), "\x00"); !slices.Equal(words, want) {
			t.Errorf("%s: the proxy was called with %q, want %q", dir, words, want)
		}
	}
}

// ssh would put a variable's value there, and knows no way to write it otherwise.
func TestSSHHomeThatCannotBeWritten(t *testing.T) {
	d, _ := oddDesk(t, "brace${HOME}")
	if _, err := d.sshArgs(sshFlags{}, sshVM(t, newMaker(t, testVM))); err == nil || !strings.Contains(hint(err), "--home") {
		t.Errorf("%v, hint %q", err, hint(err))
	}
}

func TestSSHFlags(t *testing.T) {
	d := newDesk(t)
	args, err := d.sshArgs(sshFlags{identity: "/keys/other", user: "root", options: []string{"LocalForward=8080:localhost:80"}}, sshVM(t, newMaker(t, testVM)))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(args, " ")
	for _, want := range []string{"-i /keys/other -o IdentitiesOnly=yes", "-o LocalForward=8080:localhost:80", "-l root -- "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}

// What ssh is told to believe is the CA on chain, for this VM's id alone.
func TestKnownHostsFile(t *testing.T) {
	d := newDesk(t)
	m := newMaker(t, testVM)
	file, err := d.writeKnownHosts(sshVM(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	check, err := knownhosts.New(file)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := m.Bundle(1)
	if err != nil {
		t.Fatal(err)
	}
	cert := hostCert(t, b)
	at := &net.TCPAddr{IP: net.IPv4(100, 64, 0, 2), Port: 22}
	if err := check(testVM+":22", at, cert); err != nil {
		t.Errorf("the VM's own host: %v", err)
	}
	if check(strings.Repeat("0", 32)+":22", at, cert) == nil {
		t.Error("the CA is accepted for another VM")
	}
	if check(testVM+":22", at, cert.Key) == nil {
		t.Error("a bare key is believed")
	}
	stranger, _, err := newMaker(t, vm.ID(strings.Repeat("1", 32))).Bundle(1)
	if err != nil {
		t.Fatal(err)
	}
	if check(testVM+":22", at, hostCert(t, stranger)) == nil {
		t.Error("another VM's host is accepted")
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.writeKnownHosts(sshVM(t, m)); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(first, again) {
		t.Errorf("written twice it is %q, %v", again, err)
	}
	bad := sshVM(t, m)
	bad.Spec.HostCA = []byte("short")
	if _, err := d.writeKnownHosts(bad); err == nil {
		t.Error("a CA of 5 bytes was written")
	}
	if _, err := ssh.NewPublicKey(m.Host.Public()); err != nil {
		t.Error(err)
	}
}

// What a chain node says of a VM ends up in ssh's arguments, in a shell's
// line and in a file's name.
func TestSSHBelievesNoLyingNode(t *testing.T) {
	d := newDesk(t)
	m := newMaker(t, testVM)
	for what, lie := range map[string]func(*vm.VM){
		"a path as id":           func(v *vm.VM) { v.ID = "../../authorized_keys" },
		"a line as id":           func(v *vm.VM) { v.ID = vm.ID(testVM[:31] + "\n") },
		"two hosts as id":        func(v *vm.VM) { v.ID = vm.ID(testVM[:30] + ",*") },
		"no id":                  func(v *vm.VM) { v.ID = "" },
		"a command as address":   func(v *vm.VM) { v.Spec.MeshAddress = "$(touch x)" },
		"a command in a zone":    func(v *vm.VM) { v.Spec.MeshAddress = "fe80::1%$(touch x)" },
		"an option as address":   func(v *vm.VM) { v.Spec.MeshAddress = "-oProxyCommand=x" },
		"no address":             func(v *vm.VM) { v.Spec.MeshAddress = "" },
		"a host CA of two lines": func(v *vm.VM) { v.Spec.HostCA = append(v.Spec.HostCA, '\n') },
	} {
		v := sshVM(t, m)
		lie(&v)
		if args, err := d.sshArgs(sshFlags{}, v); err == nil {
			t.Errorf("%s: %q", what, args)
		}
	}
	if _, err := d.sshArgs(sshFlags{}, sshVM(t, m)); err != nil {
		t.Error(err)
	}
}

func TestUntilReachable(t *testing.T) {
	d := newDesk(t)
	for phase, words := range map[vm.Phase]string{
		vm.Stopped: "web-1 is stopped", vm.Stopping: "web-1 is stopping",
		vm.Failed: "web-1 is failed (no space)", vm.Terminated: "web-1 is terminated",
	} {
		v := vm.VM{Spec: vm.Spec{Name: "web-1"}, Status: vm.Status{Phase: phase}}
		if phase == vm.Failed {
			v.Status.Reason = "no_space"
		}
		if _, err := d.untilReachable(t.Context(), nil, v); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", phase, err)
		}
	}
	for _, phase := range []vm.Phase{vm.Running, vm.Rebooting} {
		v := vm.VM{Status: vm.Status{Phase: phase}}
		if got, err := d.untilReachable(t.Context(), nil, v); !reflect.DeepEqual(got, v) || err != nil {
			t.Errorf("%s: %v", phase, err)
		}
	}
}
