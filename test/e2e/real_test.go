package e2e

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

// needReal is for tests with everything real.
func needReal(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("real VMs need root; runs where tests run as root, as in CI")
	}
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes; runs in make test")
	}
	for _, need := range []string{"build/bin/hippius-miner", "build/images/tiny.qcow2"} {
		if _, err := os.Stat(filepath.Join(repository(t), need)); err != nil {
			t.Fatalf("%v; 'make test' builds it first", err)
		}
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// realNetwork is a whole network with everything real: VMs under libvirt,
// the mesh between namespaces, every program a process. The tiny guest stands
// for a cloud image. The test fails if anything of it is left at the end.
func realNetwork(t *testing.T, change func(*devnet.Config)) (*devnet.Net, *demo.Tenant) {
	t.Helper()
	needReal(t)
	root := repository(t)
	before, err := leftover.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := devnet.Default()
	c.Tag = realTag
	c.Dir = testkit.ShortDir(t)
	c.Bin, c.Images = filepath.Join(root, "build/bin"), filepath.Join(root, "build/images")
	c.Log = testkit.Logger(t)
	if change != nil {
		change(&c)
	}
	n, err := devnet.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, c.Dir)
		}
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
		after, err := leftover.Take(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, left := range after.Since(before) {
			if ours(left) {
				t.Errorf("left behind: %s", left)
			}
		}
	})
	tenant, err := demo.NewTenant(filepath.Join(c.Bin, "hippius"), filepath.Join(c.Dir, "tenant"), &lines{t: t})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	return n, tenant
}

// showLogs shows the end of what each program said.
func showLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range logs {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		t.Logf("== %s\n%s", filepath.Base(file), text[max(0, len(text)-8000):])
	}
}

// The whole job, as a tenant does it.
func TestRealVMs(t *testing.T) {
	n, tenant := realNetwork(t, func(c *devnet.Config) { c.Plans = reshapePlans() })
	err := demo.Run(t.Context(), demo.Options{
		Tenant: tenant, Profile: n.Profile(), Image: "tiny", Plan: "spark", Second: "tiny",
		Hello: "uname -a; id", HelloWord: "(hippius)", Audit: n.Audit, Operators: demo.Operators(filepath.Dir(tenant.Program), n.MinerSettings()), Out: tenant.Out,
		While: func(ctx context.Context) error {
			return errors.Join(strangersLogin(ctx, tenant), rootAttacks(ctx, tenant))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := newLogins(t, tenant, "re-1", "mini")
	l.check()
	l.removeKey()
	if err := reshape(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	l.rebuilt()
	l.hippius("vm", "rm", "re-1", "--yes", "--wait")
	if err := wantBill(t.Context(), tenant, n); err != nil {
		t.Error(err)
	}
}
