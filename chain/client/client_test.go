package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/core/vm"
)

func TestSend(t *testing.T) {
	ch := newChain()
	blocks(t, ch, 20*time.Millisecond)
	c := open(t, serve(t, ch, newKey(t)))
	w := newWallet(t)
	s := c.NewSender(w)

	_, err := s.AddSSHKey(t.Context(), "laptop", "ssh-ed25519 AAAA")
	require.ErrorIs(t, err, ErrNoAccount)
	ch.fund(w.Address())

	fingerprint, err := s.AddSSHKey(t.Context(), "laptop", "ssh-ed25519 AAAA")
	require.NoError(t, err)
	require.Equal(t, "SHA256:laptop", fingerprint)
	keys, err := c.SSHKeys(t.Context(), w.Address())
	require.NoError(t, err)
	require.Len(t, keys, 1)

	_, err = s.AddSSHKey(t.Context(), "laptop", "ssh-ed25519 AAAA")
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.ErrorIs(t, err, MalformedKey)
	require.NotErrorIs(t, err, KeyExists)
	require.Equal(t, "the name laptop is taken; choose another", refused.Error())
	require.NotEmpty(t, refused.TxHash)

	// A refused transaction used its number: the next goes on.
	_, err = s.AddSSHKey(t.Context(), "desk", "ssh-ed25519 AAAA")
	require.NoError(t, err)
}

func TestSendForAnotherChainIsRefused(t *testing.T) {
	ch := newChain()
	ch.id = "other-1"
	blocks(t, ch, 20*time.Millisecond)
	c := open(t, serve(t, ch, nil))
	w := newWallet(t)
	ch.fund(w.Address())
	_, err := c.NewSender(w).AddSSHKey(t.Context(), "laptop", "k")
	require.ErrorIs(t, err, Refusal("sdk/4"))
	require.ErrorContains(t, c.Check(t.Context()), `is of chain "other-1", not "test-1"`)
}

// Two senders of one account, each several at a time: every message is carried out once.
func TestSendersShareAnAccount(t *testing.T) {
	ch := newChain()
	blocks(t, ch, 10*time.Millisecond)
	c := open(t, serve(t, ch, nil))
	w := newWallet(t)
	ch.fund(w.Address())
	a, b := c.NewSender(w), c.NewSender(w)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		s := a
		if i%3 == 0 {
			s = b
		}
		wg.Go(func() { _, errs[i] = s.AddSSHKey(t.Context(), fmt.Sprint("key-", i), "k") })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	keys, err := c.SSHKeys(t.Context(), w.Address())
	require.NoError(t, err)
	require.Len(t, keys, len(errs))
}

// A transaction gets past those of another sender that wait for their block, and does not wait for it.
func TestSenderBehindAnother(t *testing.T) {
	ch := newChain()
	c := open(t, serve(t, ch, nil))
	w := newWallet(t)
	ch.fund(w.Address())
	key := func(name string) *computev1.MsgAddSSHKey {
		return &computev1.MsgAddSSHKey{Owner: w.Address(), Name: name, PublicKey: "k"}
	}
	other, s := c.NewSender(w), c.NewSender(w)
	for i := range maxAhead {
		_, err := other.Broadcast(t.Context(), key(fmt.Sprint("other-", i)))
		require.NoError(t, err)
	}
	for i := range 2 {
		_, err := s.Broadcast(t.Context(), key(fmt.Sprint("own-", i)))
		require.NoError(t, err)
	}
	ch.block()
	keys, err := c.SSHKeys(t.Context(), w.Address())
	require.NoError(t, err)
	require.Len(t, keys, maxAhead+2)
}

func TestLostTransaction(t *testing.T) {
	ch := newChain()
	blocks(t, ch, 10*time.Millisecond)
	c := open(t, serve(t, ch, nil))
	c.set.Inclusion = 100 * time.Millisecond
	w := newWallet(t)
	ch.fund(w.Address())
	s := c.NewSender(w)
	ch.mu.Lock()
	ch.lose = 1
	ch.mu.Unlock()
	_, err := s.AddSSHKey(t.Context(), "a", "k")
	require.ErrorIs(t, err, ErrInDoubt)
	var doubt *InDoubtError
	require.ErrorAs(t, err, &doubt)
	require.Len(t, doubt.TxHash, 64)
	_, err = s.AddSSHKey(t.Context(), "b", "k")
	require.NoError(t, err)
}

func TestFailover(t *testing.T) {
	ch := newChain()
	blocks(t, ch, 10*time.Millisecond)
	good := serve(t, ch, newKey(t))
	impostor := serve(t, newChain(), newKey(t))
	impostor.Identity = good.Identity
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only to know a port where nobody is
	require.NoError(t, err)
	require.NoError(t, l.Close())
	down := Endpoint{Address: l.Addr().String(), Identity: good.Identity}

	w := newWallet(t)
	ch.fund(w.Address())
	c := open(t, down, impostor, good)
	_, err = c.NewSender(w).AddSSHKey(t.Context(), "a", "k")
	require.NoError(t, err)
	require.NoError(t, c.Check(t.Context()))
	_, err = c.VMEverywhere(t.Context(), "x")
	require.ErrorIs(t, err, ErrUnavailable, "an endpoint that is down cannot agree")

	c = open(t, down, impostor)
	_, err = c.SSHKeys(t.Context(), w.Address())
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorContains(t, err, "pinned is "+good.Identity)
	require.Error(t, c.Check(t.Context()))
}

func TestQueries(t *testing.T) {
	ch := newChain()
	ch.vms = wireVMs(150)
	third := ch.vms[3]
	owner := third.GetOwner()
	c := open(t, serve(t, ch, nil))
	_, err := c.VM(t.Context(), "nope")
	require.ErrorIs(t, err, ErrNotFound)
	v, err := c.VMByName(t.Context(), owner, "n149")
	require.NoError(t, err)
	require.Equal(t, "n149", v.Spec.Name)
	all, err := c.VMs(t.Context(), owner, false)
	require.NoError(t, err)
	require.Len(t, all, 150)
	id := vm.ID(third.GetId())
	every, err := c.VMEverywhere(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, every, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.VM(ctx, id)
	require.ErrorIs(t, err, context.Canceled)
}

func TestMinerVMs(t *testing.T) {
	ch := newChain()
	ch.height, ch.oldest = 100, 20
	ch.vms = wireVMs(300)
	for i, v := range ch.vms {
		v.ChangedHeight = int64(10 + i/10) // ten a block
	}
	c := open(t, serve(t, ch, nil))
	ids := func(m MinerChanges) map[vm.ID]bool {
		seen := map[vm.ID]bool{}
		for _, v := range m.VMs {
			require.False(t, seen[v.ID], "twice")
			seen[v.ID] = true
		}
		return seen
	}
	m, err := c.MinerVMs(t.Context(), "m", 0)
	require.NoError(t, err)
	require.True(t, m.Full)
	require.Len(t, ids(m), 300)
	require.Equal(t, int64(100), m.Height)

	m, err = c.MinerVMs(t.Context(), "m", 24) // blocks 25 to 39, over several pages
	require.NoError(t, err)
	require.False(t, m.Full)
	require.Len(t, ids(m), 150)

	m, err = c.MinerVMs(t.Context(), "m", 19) // older than is remembered
	require.NoError(t, err)
	require.True(t, m.Full)
	require.Len(t, ids(m), 300)

	m, err = c.MinerVMs(t.Context(), "m", m.Height)
	require.NoError(t, err)
	require.Empty(t, m.VMs)
	require.False(t, m.Full)
}

func TestTenants(t *testing.T) {
	ch := newChain()
	ch.height = 100
	for i := range 600 {
		ch.tenants = append(ch.tenants, wireTenant(i))
	}
	slices.SortFunc(ch.tenants, func(a, b *meshv1.Tenant) int { return cmp.Compare(a.GetOwner(), b.GetOwner()) })
	c := open(t, serve(t, ch, nil))
	got, err := c.Tenants(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, got.Tenants, 600)
	got, err = c.Tenants(t.Context(), got.Height)
	require.NoError(t, err)
	require.Empty(t, got.Tenants)
}
