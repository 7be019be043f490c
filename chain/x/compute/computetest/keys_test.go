package computetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/core/vm"
)

func with(keys ...string) func(*computetypes.MsgCreateVM) {
	return func(m *computetypes.MsgCreateVM) { m.Spec.SshKeys = keys }
}

func (w *world) addKey(a apptest.Account, name, seed string) {
	w.t.Helper()
	w.MustDeliver(a, &computetypes.MsgAddSSHKey{Owner: a.Address, Name: name, PublicKey: sshLine(w.t, seed)})
}

// removed forces a key off an account and gives the VMs that keep it.
func (w *world) removed(a apptest.Account, name string) []string {
	w.t.Helper()
	var r computetypes.MsgRemoveSSHKeyResponse
	if err := w.MustDeliver(a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: name, Force: true}).Response(0, &r); err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(r.VmIds)
	return r.VmIds
}

// keysOf are the names of an account's keys, each with the number of VMs that name it.
func (w *world) keysOf(a apptest.Account) []string {
	w.t.Helper()
	r, err := w.compute.SSHKeys(w.Ctx(), &computetypes.QuerySSHKeysRequest{Owner: a.Address})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, k := range r.Keys {
		out = append(out, fmt.Sprint(k.Name, k.UsedBy))
	}
	return out
}

// lets wants a VM to name keys, and the keys of some seeds to open it.
func (w *world) lets(id string, names, seeds []string) computetypes.VM {
	w.t.Helper()
	v := w.vm(id)
	var lines []string
	for _, s := range seeds {
		lines = append(lines, sshLine(w.t, s))
	}
	if !slices.Equal(v.Spec.SshKeys, names) || !slices.Equal(v.AuthorizedKeys, lines) {
		w.t.Fatalf("%s: %s names %q and lets in %q; want %q and %q", w, v.Spec.Name, v.Spec.SshKeys, v.AuthorizedKeys, names, lines)
	}
	return v
}

// A key that VMs name leaves the account by force alone; they keep it, and nobody else does.
func TestRemovedKeys(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a, other := w.tenant("tenant"), w.tenant("other")
	w.addKey(a, "desktop", "desktop")
	w.addKey(other, "desktop", "theirs")
	both := w.running(a, "both", with("laptop", "desktop"))
	only := w.running(a, "only", with("desktop"))
	laptop := w.running(a, "laptop")
	theirs := w.create(other, "theirs", with("desktop"))
	ended := w.create(a, "ended", with("desktop"))
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: ended})

	_, err := w.Deliver(a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "desktop"})
	w.refused(computetypes.ErrKeyInUse, a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "desktop"})
	for _, words := range []string{"both", "only", "rebuild them with other keys or terminate them first, or force the removal"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v does not say %q", err, words)
		}
	}
	if err == nil || strings.Contains(err.Error(), "ended") {
		t.Errorf("%v", err)
	}

	want := []string{both, only}
	slices.Sort(want)
	if got := w.removed(a, "desktop"); !slices.Equal(got, want) {
		t.Fatalf("VMs %v keep it, want %v", got, want)
	}
	if got := w.keysOf(a); !slices.Equal(got, []string{"laptop2"}) {
		t.Fatalf("the account has %v", got)
	}
	v := w.lets(both, []string{"laptop"}, []string{"tenant", "desktop"})
	if k := v.RemovedKeys; len(k) != 1 || k[0].Name != "desktop" || k[0].RemovedAt != w.Now() || !strings.HasPrefix(k[0].Fingerprint, "SHA256:") || v.Generation != 2 {
		t.Fatalf("it keeps %+v at generation %d", k, v.Generation)
	}
	w.lets(only, nil, []string{"desktop"})
	if v := w.lets(laptop, []string{"laptop"}, []string{"tenant"}); v.Generation != 1 {
		t.Error("a VM that does not name the key was changed")
	}
	w.lets(theirs, []string{"desktop"}, []string{"theirs"})
	r, err := w.compute.MinerVMs(w.Ctx(), &computetypes.QueryMinerVMsRequest{Miner: m.Address, All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Vms {
		if v.Id == only && !slices.Equal(v.AuthorizedKeys, []string{sshLine(t, "desktop")}) {
			t.Errorf("the miner would install %q", v.AuthorizedKeys)
		}
	}
	w.refused(computetypes.ErrUnknownKey, a, w.createMsg(a, "web-1", with("desktop")))

	// It lives on, stops and starts with it.
	w.report(w.proven(w.says(only, vm.Running)))
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: only})
	w.report(w.says(only, vm.Stopped))
	w.MustDeliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: only})
	w.report(w.proven(w.says(only, vm.Running)))
	w.lets(only, nil, []string{"desktop"})

	// The same key under the same name is a new one, which those VMs do not name.
	w.addKey(a, "desktop", "desktop")
	again := w.create(a, "again", with("desktop"))
	if got := w.keysOf(a); !slices.Equal(got, []string{"desktop1", "laptop2"}) {
		t.Fatalf("the account has %v", got)
	}
	if got := w.removed(a, "desktop"); !slices.Equal(got, []string{again}) {
		t.Fatalf("VMs %v keep it, want %s alone", got, again)
	}
	// With the VM goes what it kept.
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: only})
	if v := w.lets(only, nil, nil); len(v.RemovedKeys) != 0 {
		t.Errorf("a terminated VM keeps %+v", v.RemovedKeys)
	}
}

// A rebuild installs no removed key, and wants one that lets somebody in.
func TestRebuildWithKeys(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	w.addKey(a, "desktop", "desktop")
	id := w.running(a, "web-1", with("laptop", "desktop"))
	w.removed(a, "desktop")
	w.MustDeliver(a, rebuild(a, id, "debian-12"))
	if v := w.lets(id, []string{"laptop"}, []string{"tenant"}); len(v.RemovedKeys) != 0 {
		t.Errorf("rebuilt, it keeps %+v", v.RemovedKeys)
	}
	w.report(w.proven(w.says(id, vm.Running)))

	w.removed(a, "laptop")
	before := w.vm(id)
	_, err := w.Deliver(a, rebuild(a, id, "debian-12"))
	w.refused(computetypes.ErrNoKey, a, rebuild(a, id, "debian-12"))
	if err == nil || !strings.Contains(err.Error(), "name keys of the account to rebuild it with") {
		t.Errorf("%v", err)
	}
	fresh := func(keys ...string) *computetypes.MsgRebuildVM {
		m := rebuild(a, id, "debian-12")
		m.SshKeys = keys
		return m
	}
	w.refused(computetypes.ErrUnknownKey, a, fresh("laptop"))
	w.refused(computetypes.ErrInvalid, a, fresh("phone", "phone"))
	w.refused(computetypes.ErrInvalid, a, fresh("My Phone"))
	w.refused(computetypes.ErrInvalid, a, fresh(make([]string, vm.MaxSSHKeys+1)...))
	if v := w.vm(id); v.Generation != before.Generation || v.Status.InstanceSeq != before.Status.InstanceSeq {
		t.Fatalf("a refusal left a trace: %+v", v)
	}
	w.addKey(a, "phone", "phone")
	w.addKey(a, "tablet", "tablet")
	w.refused(computetypes.ErrUnknownKey, a, fresh("phone", "laptop"))
	w.MustDeliver(a, fresh("phone", "tablet"))
	w.lets(id, []string{"phone", "tablet"}, []string{"phone", "tablet"})
	w.report(w.proven(w.says(id, vm.Running)))
	w.MustDeliver(a, fresh("tablet"))
	w.lets(id, []string{"tablet"}, []string{"tablet"})
	if got := w.keysOf(a); !slices.Equal(got, []string{"phone0", "tablet1"}) {
		t.Fatalf("the account has %v", got)
	}
	w.MustDeliver(a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "phone"})
}

// What a VM keeps of removed keys is bounded and well formed, also in a genesis.
func TestGenesisRefusesBadRemovedKeys(t *testing.T) {
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	id := w.create(a, "web-1")
	w.removed(a, "laptop")
	for name, spoil := range map[string]func(*computetypes.VM){
		"":                            func(*computetypes.VM) {},
		"0 SSH keys and 0 removed":    func(v *computetypes.VM) { v.RemovedKeys = nil },
		"16 SSH keys and 1 removed":   func(v *computetypes.VM) { v.Spec.SshKeys = strings.Fields("a b c d e f g h i j k l m n o p") },
		"none in its usual form":      func(v *computetypes.VM) { v.RemovedKeys[0].PublicKey += " comment" },
		"laptop is none in its usual": func(v *computetypes.VM) { v.RemovedKeys[0].Fingerprint = "SHA256:x" },
		"SSH key name":                func(v *computetypes.VM) { v.RemovedKeys[0].Name = "../x" },
		"terminated, has 0 SSH keys": func(v *computetypes.VM) {
			v.Status.Phase = computetypes.PhaseOf(vm.Terminated)
		},
	} {
		g, err := w.App.Keepers.Compute.ExportGenesis(w.Ctx())
		if err != nil || len(g.Vms) != 1 || g.Vms[0].Id != id {
			t.Fatalf("%+v, %v", g, err)
		}
		spoil(&g.Vms[0])
		if err := g.Validate(); (err == nil) != (name == "") || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
