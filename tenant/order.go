package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hippius/compute/core/vm"
)

// Order is the creation of one VM. Until Place nothing is ordered and nothing
// costs: keepers drop what is not on chain in ten minutes.
type Order struct {
	c        *Client
	nonce    []byte
	id       vm.ID
	spec     vm.Spec
	userData []byte
	dealt    Dealt
}

// NewOrder of a VM of a spec, see Reader.Spec; userData is cloud-init's, at most 32 KiB, empty for none. The order gives
// the spec what it lacks: address, host CA and the hash of the user data.
func (c *Client) NewOrder(spec vm.Spec, userData []byte) (*Order, error) {
	nonce := make([]byte, vm.NonceSize)
	if _, err := io.ReadFull(c.set.Rand, nonce); err != nil {
		return nil, fmt.Errorf("make a VM's nonce: %w", err)
	}
	id, err := vm.NewID(c.account, nonce)
	if err != nil {
		return nil, err
	}
	return &Order{c: c, nonce: nonce, id: id, spec: spec, userData: userData}, nil
}

// ID of the VM, which is known before it is ordered.
func (o *Order) ID() vm.ID { return o.id }

// Prepare chooses the VM's address, makes its identity and hands the secrets of its first instances to the keepers. It
// gives the keepers that did not take their shares.
func (o *Order) Prepare(ctx context.Context) (missing []*KeeperError, err error) {
	t, authority, err := o.c.Join(ctx)
	if err != nil {
		return nil, err
	}
	vms, err := o.c.chain.VMs(ctx, o.c.account, true)
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddress(t.Block, vms)
	if err != nil {
		return nil, err
	}
	o.spec.MeshAddress = addr.String()
	m, err := o.c.maker(o.id, o.spec, authority)
	if err != nil {
		return nil, err
	}
	key, err := o.c.userDataKey(o.id)
	if err != nil {
		return nil, err
	}
	sealed, err := SealUserData(o.c.set.ChainID, o.c.account, o.id, key, o.userData)
	if err != nil {
		return nil, err
	}
	o.spec.HostCA, o.spec.UserDataHash = m.Host.Public(), sealed.Hash()
	o.dealt, err = o.c.hand(ctx, m, Deal{Nonce: o.nonce, First: 1, Count: o.c.set.AtOnce, UserData: sealed})
	return o.dealt.Missing, err
}

// Place orders the prepared VM on chain.
func (o *Order) Place(ctx context.Context) error {
	if len(o.dealt.Instances) == 0 {
		return errors.New("order a VM: its secrets were not dealt")
	}
	_, err := o.c.set.Sender.CreateVM(ctx, o.nonce, o.spec, o.dealt.Instances)
	return err
}

// maker makes the bundles of a VM of this spec.
func (c *Client) maker(id vm.ID, spec vm.Spec, authority Authority) (Maker, error) {
	addr, err := Address(spec)
	if err != nil {
		return Maker{}, err
	}
	seed, err := c.hostSeed(id)
	if err != nil {
		return Maker{}, err
	}
	host, err := NewHostCA(seed)
	if err != nil {
		return Maker{}, err
	}
	return Maker{ID: id, Name: spec.Name, Addr: addr, Authority: authority, Host: host, Now: c.now()}, nil
}

// hand gives the secrets of the deal's instances to the present committee.
func (c *Client) hand(ctx context.Context, m Maker, d Deal) (Dealt, error) {
	var err error
	if d.Committee, err = c.chain.Committee(ctx); err != nil {
		return Dealt{}, err
	}
	d.Bundle = m.Bundle
	dealt, err := c.Deal(ctx, d)
	if err != nil {
		return Dealt{}, fmt.Errorf("hand the VM's secrets to the keepers: %w", err)
	}
	return dealt, nil
}

// TopUp deals further instances of a VM that has few ahead: it needs one each
// time it is moved. It gives the keepers that did not take their shares.
func (c *Client) TopUp(ctx context.Context, v vm.VM) (missing []*KeeperError, err error) {
	if v.Ended() || v.LastInstance() >= v.Status.InstanceSeq+topUpBelow {
		return nil, nil
	}
	return c.dealMore(ctx, v)
}

// EnsureNext deals further instances of a VM that has none ahead, which a rebuild needs. The result is TopUp's.
func (c *Client) EnsureNext(ctx context.Context, v vm.VM) (missing []*KeeperError, err error) {
	if v.LastInstance() > v.Status.InstanceSeq {
		return nil, nil
	}
	return c.dealMore(ctx, v)
}

func (c *Client) dealMore(ctx context.Context, v vm.VM) ([]*KeeperError, error) {
	_, authority, err := c.Join(ctx)
	if err != nil {
		return nil, err
	}
	m, err := c.maker(v.ID, v.Spec, authority)
	if err != nil {
		return nil, err
	}
	d := Deal{Nonce: v.Nonce, First: v.LastInstance() + 1, Count: c.set.AtOnce}
	if len(v.Spec.UserDataHash) > 0 {
		if d.UserData.Key, err = c.userDataKey(v.ID); err != nil {
			return nil, err
		}
	}
	more, err := c.hand(ctx, m, d)
	if err != nil {
		return nil, err
	}
	return more.Missing, c.set.Sender.DealInstances(ctx, v.ID, more.Instances)
}
