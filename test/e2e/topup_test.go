package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/deal"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/internal/wallet"
)

// A machine with few instances left is given more by the next change that opens the wallet anyway.
func TestChangesDealFurtherInstances(t *testing.T) {
	n := fakeNetwork(t, func(c *devnet.Config) { c.Miners = 0 })
	u := newTenant(t, n)
	u.ok("billing", "buy", "30")
	u.ok("key", "add", "laptop", u.publicKey())
	u.ok("vm", "create", "plenty", "--plan", "spark", "--image", "tiny") // registers with the mesh too
	id := u.createWithOneInstance(t, n, "few")

	u.ok("vm", "rename", "plenty", "plenty-2")
	var plenty vmView
	u.read(&plenty, "vm", "show", "plenty-2")
	for id, want := range map[vm.ID]int{plenty.ID: deal.FirstDeal, id: 1} {
		if got := dealt(t, n.Chain(), id); got != want {
			t.Errorf("machine %s has %d instances, want %d", id, got, want)
		}
	}
	u.ok("vm", "rename", "few", "more")
	if got := dealt(t, n.Chain(), id); got != 1+deal.FirstDeal {
		t.Errorf("after a change it has %d instances, want %d", got, 1+deal.FirstDeal)
	}
	u.ok("vm", "rename", "more", "still-more")
	if got := dealt(t, n.Chain(), id); got != 1+deal.FirstDeal {
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

// createWithOneInstance orders a machine as the command line would, but for all the instances it deals.
func (u *tenant) createWithOneInstance(t *testing.T, n *devnet.Net, name string) vm.ID {
	t.Helper()
	phrase := u.dir + ".phrase"
	u.ok("login", "--backup", phrase)
	w := u.wallet(t, phrase)
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		t.Fatal(err)
	}
	id, err := vm.NewID(w.Address(), nonce)
	if err != nil {
		t.Fatal(err)
	}
	committee, err := n.Chain().Committee(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peers, err := deal.NewPeers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := deal.New(n.Chain().ChainID(), w, peers, time.Now).Deal(t.Context(), deal.Order{
		Nonce: nonce, First: 1, Count: 1, Committee: committee,
		Bundle: func(uint32) (instance.Bundle, deal.Public, error) {
			key := sha256.Sum256(nonce)
			return instance.Bundle{
				ProofKey: key[:], DiskKey: key[:], CheckpointKey: key[:], MeshCA: "ca", MeshCert: "cert", MeshKey: "key",
				SSHHostKey: "host key", SSHHostCert: "host cert",
			}, deal.Public{GuestKey: key[:], MeshFingerprint: key[:]}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := n.Chain().Tenant(t.Context(), w.Address())
	if err != nil {
		t.Fatal(err)
	}
	ca := sha256.Sum256([]byte("host CA"))
	spec := vm.Spec{
		Name: name, Plan: "spark", Image: "tiny", SSHKeys: []string{"laptop"}, MeshAddress: blockAddress(t, tenant.Block, 9),
		HostCA: ca[:], Agent: vm.AgentGuest, On: true,
	}
	if _, err := n.Chain().NewSender(w).CreateVM(t.Context(), nonce, spec, d.Instances); err != nil {
		t.Fatal(err)
	}
	return id
}

func (u *tenant) wallet(t *testing.T, phrase string) *wallet.Wallet {
	t.Helper()
	w, err := wallet.LoadPlain(phrase)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func blockAddress(t *testing.T, block mesh.Block, host uint32) string {
	t.Helper()
	addr, err := block.Addr(host)
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}
