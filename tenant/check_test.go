package tenant

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

func rack(name, operator, region string) node.Miner {
	return node.Miner{
		Operator: operator, BondUhip: 10, Status: node.Active, LastSeen: 1_900_000_000,
		Offer: node.Offer{
			Name: name, Region: region, Roles: []string{node.RoleCompute}, Hardware: node.Hardware{Arch: "amd64"},
			Capacity: node.Capacity{Cores: 8, MemoryMiB: 1 << 14, DiskGiB: 500},
		},
	}
}

func unknown(what string) func(error) bool {
	return func(err error) bool {
		u, ok := errors.AsType[*UnknownError](err)
		return ok && u.What == what && (u.Name == "") == (what == "image")
	}
}

func TestCheck(t *testing.T) {
	w, c := newWorld(t, 1)
	w.miners = []node.Miner{rack("rack-1", "hip1a", "eu"), rack("twin", "hip1b", "eu"), rack("twin", "hip1c", "us")}
	w.miners[2].Status = node.Draining
	w.vms = []vm.VM{{Spec: vm.Spec{Name: "db"}, Status: vm.Status{Phase: vm.Running}}, {Spec: vm.Spec{Name: "old"}, Status: vm.Status{Phase: vm.Terminated}}}
	with := func(change func(*vm.Spec)) vm.Spec {
		s := wanted
		change(&s)
		return s
	}
	for what, k := range map[string]struct {
		want vm.Spec
		is   func(error) bool
	}{
		"name":            {with(func(s *vm.Spec) { s.Name = "a b" }), isFault(BadName)},
		"name taken":      {with(func(s *vm.Spec) { s.Name = "db" }), isFault(NameTaken)},
		"plan":            {with(func(s *vm.Spec) { s.Plan = "huge" }), unknown("plan")},
		"no image":        {with(func(s *vm.Spec) { s.Image = "" }), unknown("image")},
		"image too large": {with(func(s *vm.Spec) { s.Image = "huge" }), isFault(ImageTooLarge)},
		"app":             {with(func(s *vm.Spec) { s.Apps = []string{"docker", "office"} }), unknown("app")},
		"region":          {with(func(s *vm.Spec) { s.Region = "us" }), unknown("region")},
		"no miner":        {with(func(s *vm.Spec) { s.Miners = []string{"rack-2"} }), isFault(NoMiner)},
		"many miners":     {with(func(s *vm.Spec) { s.Miners = []string{"twin"} }), isFault(ManyMiners)},
	} {
		if err := c.Check(t.Context(), k.want, false); !k.is(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, s := range map[string]vm.Spec{
		"plain": wanted, "the name of one that ended": with(func(s *vm.Spec) { s.Name = "old" }),
		"all that is there": with(func(s *vm.Spec) { s.Apps, s.Region, s.Miners = []string{"docker"}, "eu", []string{"rack-1", "hip1c"} }),
	} {
		if err := c.Check(t.Context(), s, false); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := c.Check(t.Context(), with(func(s *vm.Spec) { s.Image = "" }), true); err != nil {
		t.Errorf("a price without an image: %v", err)
	}
	err := checkApps([]plan.App{{Name: "office", Images: []string{"windows"}}}, []string{"office"}, "debian-12")
	if !isFault(AppImage)(err) {
		t.Errorf("an application of another image: %v", err)
	}
}

func TestSpecNamesKeysAndOperators(t *testing.T) {
	w, c := newWorld(t, 1)
	w.miners = []node.Miner{rack("rack-1", "hip1a", "eu")}
	want := wanted
	want.SSHKeys, want.Miners = nil, []string{"rack-1"}
	if _, err := c.Spec(t.Context(), want); !isFault(NoKey)(err) {
		t.Errorf("nobody could log in: %v", err)
	}
	w.keys = []vm.SSHKey{{Name: "a"}, {Name: "b"}}
	got, err := c.Spec(t.Context(), want)
	if err != nil || !slices.Equal(got.SSHKeys, []string{"a", "b"}) || !slices.Equal(got.Miners, []string{"hip1a"}) {
		t.Errorf("%+v, %v", got, err)
	}
	want.SSHKeys = []string{"b"}
	if got, err = c.Spec(t.Context(), want); err != nil || !slices.Equal(got.SSHKeys, []string{"b"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCheckRebuild(t *testing.T) {
	w, c := newWorld(t, 1)
	w.keys = []vm.SSHKey{{Name: "laptop"}}
	v := vm.VM{Spec: wanted, Status: vm.Status{Phase: vm.Running, Miner: "hip1a", HasData: true}, Sizing: vm.Sizing{Size: plan.Defaults()[0].Size}}
	bare := v
	bare.Spec.SSHKeys = nil
	ended := v
	ended.Status.Phase = vm.Terminated
	for what, k := range map[string]struct {
		v     vm.VM
		image string
		keys  []string
		is    func(error) bool
	}{
		"good":               {v, "debian-12", nil, func(err error) bool { return err == nil }},
		"with a key named":   {bare, "debian-12", []string{"laptop"}, func(err error) bool { return err == nil }},
		"no key left":        {bare, "debian-12", nil, isFault(KeysRemoved)},
		"a key of nobody's":  {v, "debian-12", []string{"x"}, isFault(UnknownKey)},
		"an image too large": {v, "huge", nil, isFault(ImageTooLarge)},
		"no image":           {v, "", nil, unknown("image")},
		"one that ended":     {ended, "debian-12", nil, isFault(WrongPhase)},
	} {
		if err := c.CheckRebuild(t.Context(), k.v, k.image, k.keys); !k.is(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestHosts(t *testing.T) {
	w, c := newWorld(t, 1)
	w.miners = []node.Miner{rack("rack-1", "hip1a", "eu"), rack("rack-2", "hip1b", "us"), rack("rack-3", "hip1c", "eu"), rack("rack-4", "hip1d", "eu")}
	w.miners[2].Usage = node.Usage{VMs: 1, VCPUs: 8}
	w.miners[3].LastSeen = 1_900_000_000 - 61
	for what, k := range map[string]struct {
		change func(*vm.Spec)
		want   int
	}{
		"anywhere":   {func(*vm.Spec) {}, 2},
		"a region":   {func(s *vm.Spec) { s.Region = "us" }, 1},
		"a miner":    {func(s *vm.Spec) { s.Miners = []string{"rack-1"} }, 1},
		"a full one": {func(s *vm.Spec) { s.Miners = []string{"rack-3"} }, 0},
		"too large":  {func(s *vm.Spec) { s.Plan = "titan" }, 0},
	} {
		s := wanted
		k.change(&s)
		if got, err := c.Hosts(t.Context(), s); err != nil || got != k.want {
			t.Errorf("%s: %d, %v; want %d", what, got, err, k.want)
		}
	}
	w.now = w.now.Add(time.Hour)
	if got, err := c.Hosts(t.Context(), wanted); err != nil || got != 0 {
		t.Errorf("none seen for an hour: %d, %v", got, err)
	}
}

func TestResize(t *testing.T) {
	w, c := newWorld(t, 1)
	w.miners = []node.Miner{rack("rack-1", "hip1a", "eu")}
	spark, pulse := plan.Defaults()[0].Size, plan.Defaults()[1].Size
	rates, err := plan.DefaultPrices().Quote(spark)
	if err != nil {
		t.Fatal(err)
	}
	w.miners[0].Usage = node.Usage{VMs: 2, VCPUs: 7, MemoryMiB: 4096, DiskGiB: 36}
	v := vm.VM{Spec: wanted, Status: vm.Status{Phase: vm.Running, Miner: "hip1a", HasData: true}, Sizing: vm.Sizing{Size: spark, Rates: rates}}
	v.Spec.Name = "web-1"
	if _, err := c.Resize(t.Context(), v, "spark"); !isFault(SameSize)(err) {
		t.Errorf("the same size: %v", err)
	}
	r, err := c.Resize(t.Context(), v, "pulse")
	if err != nil || r.To != pulse || !r.Restart || r.Rates.Running != 17300 {
		t.Errorf("%+v, %v", r, err)
	}
	if ok, err := c.Fits(t.Context(), r); err != nil || !ok {
		t.Errorf("one vCPU more fits: %v, %v", ok, err)
	}
	w.miners[0].Usage.VCPUs = 8
	if ok, err := c.Fits(t.Context(), r); err != nil || ok {
		t.Errorf("a host of 8 cores with 8 vCPUs sold has the capacity: %v, %v", ok, err)
	}
	w.miners[0].Usage = node.Usage{}
	if _, err := c.Fits(t.Context(), r); !errors.Is(err, node.ErrNotHeld) {
		t.Errorf("a host that does not hold it: %v", err)
	}
	r.VM.Status.Miner = ""
	if ok, err := c.Fits(t.Context(), r); err != nil || !ok {
		t.Errorf("one without a host: %v, %v", ok, err)
	}
	// A disk is never shrunk.
	v.Size = pulse
	if r, err = c.Resize(t.Context(), v, "spark"); err != nil || r.To.DiskGiB != pulse.DiskGiB || r.To.VCPUs != spark.VCPUs {
		t.Errorf("%+v, %v", r, err)
	}
	v.Status.Phase = vm.Terminating
	if _, err := c.Resize(t.Context(), v, "spark"); !isFault(WrongPhase)(err) {
		t.Errorf("one that ends: %v", err)
	}
}
