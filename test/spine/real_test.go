package spine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/internal/leftover"
	"github.com/hippius/compute/internal/testkit"
)

// The whole job with everything real: machines under libvirt, the mesh between
// namespaces, every program a process. The tiny guest stands for a cloud image.
func TestRealMachines(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("real machines need root; runs where tests run as root, as in CI")
	}
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes; runs in make test")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, need := range []string{"build/bin/hippius-miner", "build/images/tiny.qcow2"} {
		if _, err := os.Stat(filepath.Join(root, need)); err != nil {
			t.Fatalf("%v; 'make test' builds it first", err)
		}
	}
	before, err := leftover.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := devnet.Default()
	c.Tag = "hipt"
	c.Dir = testkit.ShortDir(t)
	c.Bin, c.Images = filepath.Join(root, "build/bin"), filepath.Join(root, "build/images")
	c.Log = testkit.Logger(t)
	c.Plans = reshapePlans()
	n, err := devnet.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{t: t}
	tenant, err := demo.NewTenant(filepath.Join(c.Bin, "hippius"), filepath.Join(c.Dir, "tenant"), out)
	if err == nil {
		err = demo.Run(t.Context(), demo.Options{
			Tenant: tenant, Profile: n.Profile(), Image: "tiny", Plan: "spark", Second: "tiny",
			Hello: "uname -a; id", HelloWord: "(hippius)", Audit: n.Audit, Out: out,
			While: func(ctx context.Context) error {
				return errors.Join(strangersLogin(ctx, tenant), rootAttacks(ctx, tenant))
			},
		})
		if err == nil {
			err = reshape(t.Context(), tenant, n)
		}
		tenant.Close()
	}
	if err != nil {
		t.Error(err)
	}
	if err := n.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	after, err := leftover.Take(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range after.Since(before) {
		if ours(left) {
			t.Errorf("left behind: %s", left)
		}
	}
}
