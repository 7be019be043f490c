package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

// session is the logged-in account on its network.
type session struct {
	chain   *client.Client
	address string
	tenant  *tenant.Reader
}

// open connects lazily to the network chosen at login; it needs no passphrase.
func (c *command) open() (*session, error) {
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	n, err := client.LoadNetwork(c.path(profileFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(errors.New("no network is chosen"), "run 'hippius login --network FILE'")
	}
	if err != nil {
		return nil, withHint(err, "load the network's profile again: 'hippius login --network FILE'")
	}
	cl, err := client.New(client.Config{Network: n})
	if err != nil {
		return nil, err
	}
	return &session{chain: cl, address: address, tenant: connect.NewReader(cl, address, c.env.Now)}, nil
}

func (s *session) close() { _ = s.chain.Close() }

// signing is a session that can sign.
type signing struct {
	*session
	wallet *wallet.Wallet
	sender *client.Sender
	// tenant, unlike the session's, can sign.
	tenant *tenant.Client
}

// openSigning asks for the passphrase too.
func (c *command) openSigning(ctx context.Context) (*signing, error) {
	s, err := c.open()
	if err != nil {
		return nil, err
	}
	w, err := c.openWallet(ctx)
	if err != nil {
		s.close()
		return nil, err
	}
	keepers, err := connect.NewKeepers()
	if err != nil {
		s.close()
		return nil, err
	}
	sender := s.chain.NewSender(w)
	return &signing{session: s, wallet: w, sender: sender, tenant: tenant.New(connect.Config(s.chain, sender, w, keepers, c.env.Now))}, nil
}

// findVM looks a VM up by name, else by id or the unambiguous start of one.
func (s *session) findVM(ctx context.Context, ref string) (vm.VM, error) {
	v, err := s.chain.VMByName(ctx, s.address, ref)
	if err == nil || !errors.Is(err, client.ErrNotFound) && !errors.Is(err, client.ErrRefused) {
		return v, err
	}
	if id, err := vm.ParseID(ref); err == nil {
		v, err := s.chain.VM(ctx, id)
		if errors.Is(err, client.ErrNotFound) {
			return vm.VM{}, noVM(ref)
		}
		if err == nil && v.Owner != s.address {
			return vm.VM{}, withHint(fmt.Errorf("VM %s belongs to another account", ref), "see 'hippius vm ls' for your VMs and 'hippius whoami' for your account")
		}
		return v, err
	}
	vms, err := s.chain.VMs(ctx, s.address, false)
	if err != nil {
		return vm.VM{}, err
	}
	return byPrefix(vms, ref)
}

// minPrefix is how much of an id must be given, in characters.
const minPrefix = 4

// byPrefix is the one VM whose id begins with ref.
func byPrefix(vms []vm.VM, ref string) (vm.VM, error) {
	var found []vm.VM
	for _, v := range vms {
		if len(ref) >= minPrefix && strings.HasPrefix(string(v.ID), ref) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return vm.VM{}, noVM(ref)
	default:
		return vm.VM{}, withHint(fmt.Errorf("%q is the start of %d VM ids; use a longer prefix", ref, len(found)), "see 'hippius vm ls'")
	}
}

func noVM(ref string) error {
	return withHint(fmt.Errorf("you have no VM %q", ref), "see 'hippius vm ls'")
}

// completions are words from the chain; none without one.
func (c *command) completions(list func(s *session) []string) ([]string, cobra.ShellCompDirective) {
	s, err := c.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.close()
	return list(s), cobra.ShellCompDirectiveNoFileComp
}
