package tenant

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

// Seeds that changed with a release would lock tenants out of their networks and VMs.
func TestSeedsStayAsTheyAre(t *testing.T) {
	const id = "00112233445566778899aabbccddeeff"
	_, c := newWorld(t, 1)
	for want, seed := range map[string]func() ([]byte, error){
		"43645939b3277276e9a4738f3ab1419b9946529893caf88a97d05045ae537621": c.meshSeed,
		"a5a04a1d4507b6bfe7780a8a3268250b63cf9f49f44368bfd66e6c079b44e5e5": func() ([]byte, error) { return c.hostSeed(id) },
		"459abdd771ce4d482a8193e7cf9ec33280b6dfca68078a383c234cf508843400": func() ([]byte, error) { return c.userDataKey(id) },
	} {
		if got, err := seed(); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("got %x, %v; want %s", got, err, want)
		}
	}
}

var wanted = vm.Spec{Name: "web-1", Plan: "spark", Image: "debian-12", SSHKeys: []string{"laptop"}, Agent: vm.AgentGuest, On: true}

func TestOrder(t *testing.T) {
	w, c := newWorld(t, 3)
	w.vms = []vm.VM{{Spec: vm.Spec{Name: "db", MeshAddress: "100.64.1.194"}, Status: vm.Status{Phase: vm.Running}}}
	o, err := c.NewOrder(wanted, []byte("#cloud-config\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Place(t.Context()); err == nil || len(w.sent) != 0 {
		t.Errorf("what was not dealt was ordered: %v, %v", w.sent, err)
	}
	w.keepers["b"].away = true
	missing, err := o.Prepare(t.Context())
	if err != nil || len(missing) != 1 || missing[0].Error() != "keeper b: away" {
		t.Fatalf("missing are %v, %v", missing, err)
	}
	if want := []string{"RegisterTenant", "SetTenantCA"}; !slices.Equal(w.sent, want) {
		t.Errorf("before the order %v were sent, want %v", w.sent, want)
	}
	if err := o.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := w.made
	if v.ID != o.ID() || v.Spec.MeshAddress != "100.64.1.195" || len(v.Spec.HostCA) != vm.HostCASize || len(v.Spec.UserDataHash) != vm.HashSize {
		t.Errorf("ordered was %+v", v)
	}
	if err := v.Spec.Validate(); err != nil {
		t.Error(err)
	}
	if len(v.Instances) != FirstDeal {
		t.Errorf("%d instances, want %d", len(v.Instances), FirstDeal)
	}
	for i, in := range v.Instances {
		if in.Seq != uint32(i)+1 || len(in.Receipts) != 2 || len(in.GuestKey) != 32 || len(in.MeshCertFingerprint) != 32 {
			t.Errorf("instance %d is %+v", i+1, in)
		}
	}
	if r := w.keepers["a"].taken[0]; len(r.GetSealedUserData()) == 0 || !bytes.Equal(r.GetNonce(), v.Nonce) {
		t.Errorf("a keeper was given %v", r)
	}
}

// Nothing is ordered that could never be opened, or that has no address.
func TestOrderThatCannotBePrepared(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(*world)
		is    func(error) bool
	}{
		"too few keepers": {func(w *world) { w.keepers["a"].away, w.keepers["b"].away = true, true }, func(err error) bool { return errors.Is(err, ErrTooFewKeepers) }},
		"a full block": {func(w *world) {
			for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
				addr, err := block.Addr(host)
				if err != nil {
					t.Fatal(err)
				}
				w.vms = append(w.vms, vmAt(addr.String(), vm.Running))
			}
		}, isFault(NoAddress)},
		"no registration": {func(w *world) { w.refuse["RegisterTenant"] = errNo }, func(err error) bool { return errors.Is(err, errNo) }},
		"no CA":           {func(w *world) { w.refuse["SetTenantCA"] = errNo }, func(err error) bool { return errors.Is(err, errNo) }},
	} {
		w, client := newWorld(t, 3)
		c.spoil(w)
		o, err := client.NewOrder(wanted, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.Prepare(t.Context()); !c.is(err) {
			t.Errorf("%s: %v", what, err)
		}
		if err := o.Place(t.Context()); err == nil || slices.Contains(w.sent, "CreateVM") {
			t.Errorf("%s: ordered all the same", what)
		}
	}
	_, c := newWorld(t, 1)
	c.set.Rand = strings.NewReader("short")
	if _, err := c.NewOrder(wanted, nil); err == nil {
		t.Error("a nonce of five bytes was used")
	}
}

var errNo = errors.New("no")

func isFault(kind Kind) func(error) bool {
	return func(err error) bool {
		f, ok := errors.AsType[*Fault](err)
		return ok && f.Kind == kind
	}
}

// Each step of joining is done once, and taken up where it ended.
func TestJoin(t *testing.T) {
	w, c := newWorld(t, 1)
	w.refuse["SetTenantCA"] = errNo
	if _, _, err := c.Join(t.Context()); !errors.Is(err, errNo) {
		t.Fatal(err)
	}
	delete(w.refuse, "SetTenantCA")
	for range 2 {
		place, a, err := c.Join(t.Context())
		if err != nil || place.Block != block || !bytes.Equal(a.Certificate(), w.tenant.CACertificate) {
			t.Fatalf("%+v, %v", place, err)
		}
	}
	if want := []string{"RegisterTenant", "SetTenantCA"}; !slices.Equal(w.sent, want) {
		t.Errorf("sent were %v, want %v", w.sent, want)
	}
	if seed, err := c.meshSeed(); err != nil || !bytes.Equal(w.tenant.CAPublicKey, append([]byte("key "), seed...)) {
		t.Errorf("registered with %q, %v", w.tenant.CAPublicKey, err)
	}
	// The chain released the block for want of a VM.
	w.tenant = &mesh.Tenant{}
	if place, _, err := c.Join(t.Context()); err != nil || len(place.Networks) == 0 || len(w.sent) != 4 {
		t.Errorf("%+v, %v, sent %v", place, err, w.sent)
	}
	w.tenant.CACertificate = []byte("another's")
	if _, _, err := c.Join(t.Context()); err == nil {
		t.Error("another's authority was taken up")
	}
	w.refuse["Tenant"] = errNo
	if _, _, err := c.Join(t.Context()); !errors.Is(err, errNo) || len(w.sent) != 4 {
		t.Errorf("without the chain's word: %v, sent %v", err, w.sent)
	}
}

func TestInstancesAreDealtWhenFewAreLeft(t *testing.T) {
	made := func(phase vm.Phase, dealt, present uint32) vm.VM {
		v := vm.VM{
			Nonce: make([]byte, vm.NonceSize), Spec: vm.Spec{Name: "web-1", MeshAddress: "100.64.1.194"},
			Status: vm.Status{Phase: phase, InstanceSeq: present},
		}
		for seq := uint32(1); seq <= dealt; seq++ {
			v.Instances = append(v.Instances, vm.Instance{Seq: seq})
		}
		return v
	}
	for _, c := range []struct {
		v     vm.VM
		first uint32
		count int
		next  bool // also what a rebuild needs
	}{
		{made(vm.Running, 8, 1), 0, 0, false},
		{made(vm.Running, 8, 5), 0, 0, false},
		{made(vm.Running, 8, 6), 9, 8, false},
		{made(vm.Running, 8, 8), 9, 8, true},
		{made(vm.Pending, 2, 0), 3, 8, false},
		{made(vm.Terminating, 8, 8), 0, 0, true},
		{made(vm.Terminated, 8, 8), 0, 0, true},
	} {
		w, client := newWorld(t, 1)
		if _, err := client.TopUp(t.Context(), c.v); err != nil {
			t.Error(err)
		}
		if got := w.made.Instances; len(got) != c.count || c.count > 0 && got[0].Seq != c.first {
			t.Errorf("%s: %d were dealt; want %d from %d", c.v.Status.Phase, len(got), c.count, c.first)
		}
		w.made = vm.VM{}
		if _, err := client.EnsureNext(t.Context(), c.v); err != nil {
			t.Error(err)
		}
		if got := w.made.Instances; (len(got) > 0) != c.next || c.next && got[0].Seq != c.v.LastInstance()+1 {
			t.Errorf("%s, for a rebuild: %d were dealt", c.v.Status.Phase, len(got))
		}
	}
}

// A VM with user data has it in all of its instances, under the same key; it is not sent again.
func TestFurtherInstancesHaveTheUserData(t *testing.T) {
	w, c := newWorld(t, 1)
	o, err := c.NewOrder(wanted, []byte("#cloud-config\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := w.made
	v.Status = vm.Status{Phase: vm.Running, InstanceSeq: 8}
	w.refuse["DealInstances"] = errNo
	if _, err := c.TopUp(t.Context(), v); !errors.Is(err, errNo) {
		t.Fatal(err)
	}
	all := w.keepers["a"].taken
	if len(all) != 2 || len(all[1].GetSealedUserData()) != 0 || !bytes.Equal(all[0].GetNonce(), all[1].GetNonce()) {
		t.Errorf("a keeper was given %v", all)
	}
	sizes := [2]int{len(all[0].GetInstances()[0].GetSealedBundle()), len(all[1].GetInstances()[0].GetSealedBundle())}
	if d := sizes[0] - sizes[1]; d < -8 || d > 8 {
		t.Errorf("bundles of %v bytes: the later have no key of the user data", sizes)
	}
}

// A device keeps the address that it has on chain.
func TestDevice(t *testing.T) {
	w, c := newWorld(t, 1)
	first, err := c.Device(t.Context(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Device(t.Context(), "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if first.Address != again.Address || first.Key == again.Key || len(w.tenant.Devices) != 1 {
		t.Errorf("%+v, then %+v", first, again)
	}
	if !first.Usable(chainID, w.wallet.Address(), w.now) || first.Cert != "device laptop "+first.Address.String() || first.NotAfter != w.now.Add(DeviceLife) {
		t.Errorf("%+v", first)
	}
	for host, want := range map[string]string{
		"My-Laptop.local": "device-my-laptoplocal-ab12", "--x--": "device-x---ab12", "": "device--ab12", "\n*": "device--ab12",
		strings.Repeat("x", 99): "device-" + strings.Repeat("x", 40) + "-ab12",
	} {
		if got := DeviceName(host, "ab12"); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
}
