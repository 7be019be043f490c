package e2e

import (
	"testing"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/internal/wallet"
	tenancy "github.com/hippius/compute/tenant"
)

// A VM with few instances left is given more by the next change that opens the wallet anyway.
func TestChangesDealFurtherInstances(t *testing.T) {
	n := fakeNetwork(t, func(c *devnet.Config) { c.Miners = 0 })
	u := newTenant(t, n)
	u.ok("billing", "buy", "30")
	u.ok("key", "add", "laptop", u.publicKey())
	u.ok("vm", "create", "plenty", "--plan", "spark", "--image", "tiny") // registers with the mesh too
	id := u.createWithOneInstance(t, n, "few")

	u.ok("vm", "rename", "plenty", "plenty-2")
	var plenty demo.VM
	u.read(&plenty, "vm", "show", "plenty-2")
	for id, want := range map[vm.ID]int{plenty.ID: tenancy.FirstDeal, id: 1} {
		if got := dealt(t, n.Chain(), id); got != want {
			t.Errorf("VM %s has %d instances, want %d", id, got, want)
		}
	}
	u.ok("vm", "rename", "few", "more")
	if got := dealt(t, n.Chain(), id); got != 1+tenancy.FirstDeal {
		t.Errorf("after a change it has %d instances, want %d", got, 1+tenancy.FirstDeal)
	}
	u.ok("vm", "rename", "more", "still-more")
	if got := dealt(t, n.Chain(), id); got != 1+tenancy.FirstDeal {
		t.Errorf("with enough of them it was given more: %d", got)
	}
}

func dealt(t *testing.T, c *client.Client, id vm.ID) int {
	t.Helper()
	v, err := c.VM(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return len(v.Instances)
}

// createWithOneInstance orders a VM as the command line would, but for all the instances it deals.
func (u *tenant) createWithOneInstance(t *testing.T, n *devnet.Net, name string) vm.ID {
	t.Helper()
	phrase := u.dir + ".phrase"
	u.ok("login", "--backup", phrase)
	w := u.wallet(t, phrase)
	keepers, err := connect.NewKeepers()
	if err != nil {
		t.Fatal(err)
	}
	set := connect.Config(n.Chain(), n.Chain().NewSender(w), w, keepers, time.Now)
	set.AtOnce = 1
	order, err := tenancy.New(set).NewOrder(vm.Spec{
		Name: name, Plan: "spark", Image: "tiny", SSHKeys: []string{"laptop"}, Agent: vm.AgentGuest, On: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := order.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := order.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	return order.ID()
}

func (u *tenant) wallet(t *testing.T, phrase string) *wallet.Wallet {
	t.Helper()
	w, err := wallet.LoadPlain(phrase)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
