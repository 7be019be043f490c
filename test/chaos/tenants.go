package chaos

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/deal"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
)

const (
	// dealt is how many instances a VM is given at once: few, so that some run out of them.
	dealt = 3
	// maxVMs of one tenant at a time.
	maxVMs = 4
)

// tenant is an account that rents machines, and what it remembers of them.
type tenant struct {
	w      *world
	name   string
	wallet *wallet.Wallet
	chain  *client.Client
	sender *client.Sender
	block  mesh.Block
	serial int

	mu      sync.Mutex
	busy    bool
	outcome string // of what was last done; empty once told
}

func newTenant(w *world, name string) (*tenant, error) {
	wal, err := wallet.FromKey(apptest.Named(name).Key.Key)
	if err != nil {
		return nil, err
	}
	c := w.chain.client(name, false)
	return &tenant{w: w, name: name, wallet: wal, chain: c, sender: c.NewSender(wal)}, nil
}

// join gives the tenant its block and its key.
func (t *tenant) join(ctx context.Context) error {
	if err := t.sender.RegisterTenant(ctx, public(key(t.name+"-ca"))); err != nil {
		return err
	}
	line, err := ssh.NewPublicKey(public(key(t.name)))
	if err != nil {
		return err
	}
	if _, err := t.sender.AddSSHKey(ctx, "laptop", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))); err != nil {
		return err
	}
	r, err := t.chain.Tenant(ctx, t.wallet.Address())
	t.block = r.Block
	return err
}

// do has the tenant do something, as far as it gets by itself now.
func (t *tenant) do(what string, f func(ctx context.Context) error) {
	t.mu.Lock()
	t.busy = true
	t.mu.Unlock()
	t.w.trace.note("%s: %s", t.name, what)
	t.w.errands.Go(func() {
		err := f(context.Background())
		t.mu.Lock()
		defer t.mu.Unlock()
		t.busy, t.outcome = false, what+": "+verdict(err)
	})
	t.w.pass(0)
}

// verdict names an error without what chance put into it.
func verdict(err error) string {
	var refused *client.Error
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &refused):
		return fmt.Sprintf("refused, %s %d", refused.Codespace, refused.Code)
	case errors.Is(err, client.ErrInDoubt):
		return "in doubt"
	case errors.Is(err, client.ErrUnavailable):
		return "no node answers"
	case errors.Is(err, deal.ErrTooFewKeepers):
		return "too few keepers"
	default:
		return "not done"
	}
}

// tell notes what became of the last errand, and says whether the tenant is free.
func (t *tenant) tell() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.outcome != "" {
		t.w.trace.note("%s: %s", t.name, t.outcome)
		t.outcome = ""
	}
	return !t.busy
}

// act does one thing that the seed decides, if the tenant is free.
func (t *tenant) act() {
	ch := t.w.chance
	if !t.tell() || !ch.often(t.w.lively) {
		return
	}
	mine := t.w.of(t)
	if len(mine) == 0 || len(mine) < maxVMs && ch.often(25) {
		t.create()
		return
	}
	v := pick(ch, mine)
	id := v.ID
	what := fmt.Sprintf(" %.6s", id)
	switch ch.IntN(12) {
	case 0, 1:
		t.do("stop"+what, func(ctx context.Context) error { return t.sender.StopVM(ctx, id) })
	case 2, 3, 4:
		t.do("start"+what, func(ctx context.Context) error { return t.sender.StartVM(ctx, id) })
	case 5, 6:
		t.do("reboot"+what, func(ctx context.Context) error { return t.sender.RebootVM(ctx, id) })
	case 7:
		t.serial++
		name := fmt.Sprintf("renamed-%d", t.serial)
		t.do("rename"+what, func(ctx context.Context) error { return t.sender.RenameVM(ctx, id, name) })
	case 8:
		t.do("terminate"+what, func(ctx context.Context) error { return t.sender.TerminateVM(ctx, id) })
	case 9:
		t.buy()
	default:
		t.tend(v)
	}
}

// buy buys one credit, which brings an account that ran out back.
func (t *tenant) buy() {
	t.do("buy", func(ctx context.Context) error {
		_, err := t.sender.Buy(ctx, t.wallet.Address(), 1_000_000, "")
		return err
	})
}

// tend deals further instances of a VM that has used up its own.
func (t *tenant) tend(v vm.VM) {
	last := v.LastInstance()
	if last > v.Status.InstanceSeq {
		return
	}
	t.do(fmt.Sprintf("deal %.6s", v.ID), func(ctx context.Context) error {
		list, err := t.deal(ctx, v.Nonce, last+1)
		if err != nil {
			return err
		}
		return t.sender.DealInstances(ctx, v.ID, list)
	})
}

func (t *tenant) create() {
	t.serial++
	nonce := make([]byte, vm.NonceSize)
	for i := range nonce {
		nonce[i] = byte(t.w.chance.IntN(256))
	}
	id, err := vm.NewID(t.wallet.Address(), nonce)
	if err != nil {
		panic(err) // the nonce has its size
	}
	addr := t.address()
	if !addr.IsValid() {
		return
	}
	spec := vm.Spec{
		Name: fmt.Sprintf("vm-%d", t.serial), Plan: "spark", Image: "tiny", SSHKeys: []string{"laptop"},
		MeshAddress: addr.String(), HostCA: public(key("host-ca")), Agent: vm.AgentGuest, On: true,
	}
	t.do(fmt.Sprintf("create %.6s", id), func(ctx context.Context) error {
		list, err := t.deal(ctx, nonce, 1)
		if err != nil {
			return err
		}
		_, err = t.sender.CreateVM(ctx, nonce, spec, list)
		return err
	})
}

// address is one that no machine of the tenant has.
func (t *tenant) address() netip.Addr {
	taken := map[string]bool{}
	for _, v := range t.w.of(t) {
		taken[v.Spec.MeshAddress] = true
	}
	for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
		if a, err := t.block.Addr(host); err == nil && !taken[a.String()] {
			return a
		}
	}
	return netip.Addr{}
}

// deal hands the secrets of further instances to the keepers.
func (t *tenant) deal(ctx context.Context, nonce []byte, first uint32) ([]vm.Instance, error) {
	committee, err := t.chain.Committee(ctx)
	if err != nil {
		return nil, err
	}
	d := deal.New(t.chain.ChainID(), t.wallet, dialer{t.w, t.name, key(t.name + "-transport")}, t.w.clock)
	out, err := d.Deal(ctx, deal.Order{Nonce: nonce, First: first, Count: dealt, Committee: committee, Bundle: bundle})
	return out.Instances, err
}

// bundle is an instance's; nothing here speaks SSH or joins the mesh.
func bundle(uint32) (instance.Bundle, deal.Public, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return instance.Bundle{}, deal.Public{}, err
	}
	random := func() []byte {
		b := make([]byte, instance.KeySize)
		_, _ = rand.Read(b) // never fails
		return b
	}
	return instance.Bundle{
		ProofKey: priv.Seed(), DiskKey: random(), CheckpointKey: random(),
		MeshCA: "ca", MeshCert: "certificate", MeshKey: "key", SSHHostKey: "key", SSHHostCert: "certificate",
	}, deal.Public{GuestKey: pub, MeshFingerprint: random()}, nil
}
