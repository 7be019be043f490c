package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	tenancy "github.com/hippius/compute/tenant"
)

const (
	// dealt is how many instances a VM is given at once: few, so that some run out of them.
	dealt = 3
	// maxVMs of one tenant at a time.
	maxVMs = 4
)

// tenant is an account that rents VMs, and what it remembers of them.
type tenant struct {
	w      *world
	name   string
	wallet *wallet.Wallet
	sender *client.Sender
	client *tenancy.Client
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
	t := &tenant{w: w, name: name, wallet: wal, sender: c.NewSender(wal)}
	set := connect.Config(c, t.sender, seeded{wal}, dialer{w, name, key(name + "-transport")}, w.clock)
	set.Rand, set.AtOnce = nonces{w.chance}, dealt
	t.client = tenancy.New(set)
	return t, nil
}

// join gives the tenant its place in the mesh and its key.
func (t *tenant) join(ctx context.Context) error {
	if _, _, err := t.client.Join(ctx); err != nil {
		return err
	}
	line, err := ssh.NewPublicKey(public(key(t.name)))
	if err != nil {
		return err
	}
	_, err = t.sender.AddSSHKey(ctx, "laptop", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))))
	return err
}

// do has the tenant do something, as far as it gets by itself now.
func (t *tenant) do(what string, f func(ctx context.Context) error) {
	t.mu.Lock()
	t.busy = true
	t.mu.Unlock()
	t.w.trace.note("%s: %s", t.name, what)
	t.w.tasks.Go(func() {
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
	case errors.Is(err, tenancy.ErrTooFewKeepers):
		return "too few keepers"
	default:
		return "not done"
	}
}

// tell notes what became of the last task, and says whether the tenant is free.
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
	if v.LastInstance() > v.Status.InstanceSeq {
		return
	}
	t.do(fmt.Sprintf("deal %.6s", v.ID), func(ctx context.Context) error {
		_, err := t.client.EnsureNext(ctx, v)
		return err
	})
}

func (t *tenant) create() {
	t.serial++
	spec := vm.Spec{Name: fmt.Sprintf("vm-%d", t.serial), Plan: "spark", Image: "tiny", SSHKeys: []string{"laptop"}, Agent: vm.AgentGuest, On: true}
	order, err := t.client.NewOrder(spec, nil)
	if err != nil {
		panic(err) // chance does not end
	}
	t.do(fmt.Sprintf("create %.6s", order.ID()), func(ctx context.Context) error {
		if _, err := order.Prepare(ctx); err != nil {
			return err
		}
		return order.Place(ctx)
	})
}

// seeded is a wallet that grows its seeds without a phrase.
type seeded struct{ *wallet.Wallet }

// Seed implements tenancy.Wallet.
func (s seeded) Seed(label string) ([]byte, error) { return key(s.Address() + label).Seed(), nil }

// nonces are what the seed decides.
type nonces struct{ chance }

// Read fills p; it never fails.
func (n nonces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(n.IntN(256))
	}
	return len(p), nil
}

// revive brings back what failed while nothing worked.
func revive(t *tenant, v vm.VM) {
	if v.Status.Phase == vm.Failed {
		t.do(fmt.Sprintf("start %.6s", v.ID), func(ctx context.Context) error { return t.sender.StartVM(ctx, v.ID) })
		return
	}
	t.tend(v)
}

// terminate ends what is left, with credits bought for it if need be.
func terminate(t *tenant, v vm.VM) {
	t.do(fmt.Sprintf("terminate %.6s", v.ID), func(ctx context.Context) error {
		err := t.sender.TerminateVM(ctx, v.ID)
		if err == nil {
			return nil
		}
		_, buyErr := t.sender.Buy(ctx, t.wallet.Address(), 1_000_000, "")
		return errors.Join(err, buyErr)
	})
}
