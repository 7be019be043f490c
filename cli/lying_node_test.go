package cli

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

// lister is a chain node that lists one VM as whoever's it is asked for.
type lister struct {
	computev1.UnimplementedQueryServer
	vm *computev1.VM
}

func (l lister) VMs(context.Context, *computev1.QueryVMsRequest) (*computev1.QueryVMsResponse, error) {
	return &computev1.QueryVMsResponse{Vms: []*computev1.VM{l.vm}}, nil
}

// listed is a running VM of the account as an honest node lists it.
func listed(t *testing.T, w *wallet.Wallet) *computev1.VM {
	t.Helper()
	nonce := make([]byte, vm.NonceSize)
	id, err := vm.NewID(w.Address(), nonce)
	if err != nil {
		t.Fatal(err)
	}
	return &computev1.VM{
		Id: string(id), Owner: w.Address(), Nonce: nonce, Generation: 1, Arch: "amd64",
		Spec: &computev1.VMSpec{
			Name: "web-1", Plan: "spark", Image: "debian-12", SshKeys: []string{"laptop"}, MeshAddress: "100.64.0.2",
			HostCa: make([]byte, vm.HostCASize), Agent: computev1.AgentMode_AGENT_MODE_GUEST, Power: computev1.Power_POWER_ON,
		},
		Status: &computev1.VMStatus{Phase: computev1.Phase_PHASE_PENDING},
		Size:   &computev1.Size{Vcpus: 1, MemoryMib: 2048, DiskGib: 18, Iops: 500, DiskBytesPerSecond: 5e7, NetworkBitsPerSecond: 1e8},
	}
}

// atNode points a home folder, which has a device identity, at a node that lists a VM.
func (d *desk) atNode(t *testing.T, w *wallet.Wallet, v *computev1.VM) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	computev1.RegisterQueryServer(s, lister{vm: v})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	n := client.Network{Name: "lying", ChainID: "nowhere-1", GRPC: []client.Endpoint{{Address: l.Addr().String(), Plain: true}}}
	data, err := n.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.writeFile(profileFile, data); err != nil {
		t.Fatal(err)
	}
	if err := d.writeDevice(tenant.Device{ChainID: n.ChainID, Account: w.Address(), Name: "device-a", NotAfter: time.Now().Add(tenant.DeviceLife)}); err != nil {
		t.Fatal(err)
	}
}

// A chain node that names a VM so that ssh's configuration would have a command of the node's in it is told off, and
// nothing is written.
func TestLyingNodeWritesNothingIntoSSHConfig(t *testing.T) {
	config := func(d *desk) string { return filepath.Join(d.dir, ".ssh", "config") }
	at := func(t *testing.T, change func(*computev1.VM)) *desk {
		t.Helper()
		d := newDesk(t)
		w := d.loggedIn(t)
		d.env.Getenv = func(name string) string { return map[string]string{"HOME": d.dir}[name] }
		v := listed(t, w)
		change(v)
		d.atNode(t, w, v)
		return d
	}
	for what, lie := range map[string]func(*computev1.VM){
		"a host's name":     func(v *computev1.VM) { v.Spec.Name = "web-1\nHost *\n  ProxyCommand touch /tmp/owned" },
		"a pattern as name": func(v *computev1.VM) { v.Spec.Name = "*" },
		"an address":        func(v *computev1.VM) { v.Spec.MeshAddress = "100.64.0.2\n  ProxyCommand touch /tmp/owned" },
		"an id":             func(v *computev1.VM) { v.Id = v.GetId()[:31] + "\n" },
		"an unknown phase":  func(v *computev1.VM) { v.Status.Phase = 99 },
	} {
		for _, args := range [][]string{{"ssh-config"}, {"ssh-config", "--install"}, {"ssh-config", "--print"}} {
			d := at(t, lie)
			status, out, said := d.run(t, args...)
			if status != 1 || out != "" || !strings.Contains(said, "the chain node's answer is not used: ") || strings.Count(said, "\n") != 1 {
				t.Errorf("%s, %v: status %d, printed %q, said %q", what, args, status, out, said)
			}
			for _, file := range []string{config(d), d.path(sshConfigFile), d.path("known_hosts.d")} {
				if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s, %v: %s: %v", what, args, file, err)
				}
			}
		}
	}
	d := at(t, func(*computev1.VM) {})
	if status, _, said := d.run(t, "ssh-config", "--install"); status != 0 {
		t.Fatalf("an honest node: status %d, said %q", status, said)
	}
	if text, err := os.ReadFile(config(d)); err != nil || !bytes.Contains(text, []byte(d.path(sshConfigFile))) {
		t.Errorf("an honest node: the configuration is %q, %v", text, err)
	}
	if text, err := os.ReadFile(d.path(sshConfigFile)); err != nil || !bytes.Contains(text, []byte("\nHost web-1.hippius ")) {
		t.Errorf("an honest node: the hosts are %q, %v", text, err)
	}
}
