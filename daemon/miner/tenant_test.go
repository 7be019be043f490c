package miner

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
)

// create orders a VM as a tenant's client would.
func (s *stage) create() vm.ID {
	s.t.Helper()
	id := vm.ID(hex.EncodeToString(random(16)))
	_, proofKey, err := ed25519.GenerateKey(rand.Reader)
	testkit.Check(s.t, err)
	cert, key := s.issue(s.tenant, vmAddr, "web-1")
	hostKey, hostCert := s.hostKey(id)
	s.bundles[1] = instance.Bundle{
		VMID: id, Seq: 1, ProofKey: proofKey.Seed(), MeshCA: string(s.tenant.Certificate().PEM()), MeshCert: string(cert), MeshKey: string(key),
		SSHHostKey: hostKey, SSHHostCert: hostCert, DiskKey: random(32), CheckpointKey: random(32),
	}
	pub, ok := proofKey.Public().(ed25519.PublicKey)
	if !ok {
		s.t.Fatal("not an ed25519 key")
	}
	s.chain.Create(id, "hip1tenant", vm.Spec{
		Name: "web-1", Plan: "spark", Image: "test", Apps: []string{"marker"}, On: true, MeshAddress: vmAddr,
	}, []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.login.PublicKey()))) + " laptop"}, pub)
	return id
}

// hostKey makes the SSH host key of an instance and its certificate.
func (s *stage) hostKey(id vm.ID) (key, cert string) {
	s.t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	testkit.Check(s.t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	testkit.Check(s.t, err)
	public, err := ssh.NewPublicKey(pub)
	testkit.Check(s.t, err)
	c := &ssh.Certificate{
		Key: public, Serial: 1, CertType: ssh.HostCert, KeyId: string(id), ValidPrincipals: []string{vmAddr},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()), //nolint:gosec // now is positive
	}
	testkit.Check(s.t, c.SignCert(rand.Reader, s.hostCA))
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(c))
}

// ssh runs a command in the VM from the laptop, which accepts the host only by
// a certificate of the VM's CA.
func (s *stage) ssh(command string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := s.laptop.DialContext(ctx, "tcp", vmAddr+":22")
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	testkit.Check(s.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	checker := &ssh.CertChecker{IsHostAuthority: func(k ssh.PublicKey, _ string) bool {
		return bytes.Equal(k.Marshal(), s.hostCA.PublicKey().Marshal())
	}}
	c, chans, reqs, err := ssh.NewClientConn(conn, net.JoinHostPort(vmAddr, "22"), &ssh.ClientConfig{
		User: wire.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.login)}, HostKeyCallback: checker.CheckHostKey,
		HostKeyAlgorithms: []string{ssh.CertAlgoED25519v01},
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(c, chans, reqs)
	defer func() { _ = client.Close() }()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	out, err := session.CombinedOutput(command)
	return strings.TrimSpace(string(out)), err
}

// until waits for something real VMs do.
func (s *stage) until(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	began := time.Now()
	for time.Since(began) < within {
		if ok() {
			s.t.Logf("%s after %.1f s", what, time.Since(began).Seconds())
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("not within %s: %s\n%s\nconsole:\n%s", within, what, s.chain.Account(), s.console())
}

func (s *stage) console() string {
	infos, err := s.driver.List(context.Background())
	if err != nil || len(infos) == 0 {
		return fmt.Sprint(infos, err)
	}
	log, err := s.driver.ConsoleLog(context.Background(), infos[0].ID)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-6000):])
}

func (s *stage) reach(what string) {
	s.t.Helper()
	var last error
	defer func() {
		if s.t.Failed() {
			s.t.Logf("last attempt: %v", last)
		}
	}()
	s.until(what, time.Minute, func() bool {
		_, last = s.ssh("true")
		return last == nil
	})
}

func (s *stage) run(command, want string) {
	s.t.Helper()
	out, err := s.ssh(command)
	if err != nil || !strings.Contains(out, want) {
		s.t.Errorf("%s says %q, %v; want %q", command, out, err, want)
	}
}

func (s *stage) order(id vm.ID, ev vm.Event) {
	s.t.Helper()
	testkit.Check(s.t, s.chain.Order(id, ev))
}

func (s *stage) phase(id vm.ID, p vm.Phase) {
	s.t.Helper()
	s.until("phase "+p.String(), 2*time.Minute, func() bool { return s.chain.Phase(id) == p })
}

func (s *stage) inspect(id vm.ID) hypervisor.Info {
	s.t.Helper()
	info, err := s.driver.Inspect(s.t.Context(), id)
	testkit.Check(s.t, err)
	return info
}

// state lists what a VM may leave on the host.
func (s *stage) state() string {
	s.t.Helper()
	var all strings.Builder
	for _, argv := range [][]string{{"ip", "-o", "link"}, {"nft", "list", "ruleset"}, {"pgrep", "-x", "qemu-system-x86"}} {
		out, err := s.host.Command(s.t.Context(), argv...).CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			s.t.Fatal(err)
		}
		all.Write(out)
	}
	for _, dir := range []string{"seeds", "run", "vms/disks"} {
		entries, err := os.ReadDir(filepath.Join(realDir, dir))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintln(&all, dir, e.Name())
		}
	}
	return all.String()
}
