package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/internal/sshkey"
)

// AddKey keeps an SSH public key of an account and returns its fingerprint.
func (k *Keeper) AddKey(ctx context.Context, m *types.MsgAddSSHKey) (string, error) {
	if err := m.ValidateBasic(); err != nil {
		return "", err
	}
	key, err := sshkey.Parse(m.PublicKey)
	if err != nil {
		return "", keyError(err)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return "", err
	}
	count := uint32(0)
	err = k.keys.Walk(ctx, collections.NewPrefixedPairRange[string, string](m.Owner), func(_ ownerKey, old types.SSHKey) (bool, error) {
		count++
		if old.Name == m.Name {
			return true, types.ErrKeyExists.Wrapf("the account has an SSH key named %q; choose another name, or remove that key", m.Name)
		}
		if old.Fingerprint == key.Fingerprint {
			return true, types.ErrKeyExists.Wrapf("this key is the account's already, named %q", old.Name)
		}
		return false, nil
	})
	if err != nil {
		return "", err
	}
	if count >= p.MaxKeysPerAccount {
		return "", types.ErrTooManyKeys.Wrapf("the account has %d SSH keys; at most %d: remove one first", count, p.MaxKeysPerAccount)
	}
	emit(ctx, types.EventKeyAdded,
		sdk.NewAttribute(types.AttributeOwner, m.Owner),
		sdk.NewAttribute(types.AttributeName, m.Name),
		sdk.NewAttribute(types.AttributeFingerprint, key.Fingerprint))
	return key.Fingerprint, k.keys.Set(ctx, collections.Join(m.Owner, m.Name), types.SSHKey{
		Owner: m.Owner, Name: m.Name, PublicKey: key.Line, Fingerprint: key.Fingerprint, AddedAt: now(ctx),
	})
}

// keyError gives what is wrong with a key its registered error.
func keyError(err error) error {
	switch {
	case errors.Is(err, sshkey.ErrPrivate):
		return types.ErrPrivateKey.Wrap(err.Error())
	case errors.Is(err, sshkey.ErrWeak):
		return types.ErrWeakKey.Wrap(err.Error())
	case errors.Is(err, sshkey.ErrType):
		return types.ErrKeyType.Wrap(err.Error())
	default:
		return types.ErrMalformedKey.Wrap(err.Error())
	}
}

// maxNamedVMs bounds the VMs an error lists.
const maxNamedVMs = 10

// RemoveKey takes a key off its account, by force also one that VMs name, and
// returns their ids. What was installed on a disk, the chain cannot take from
// it: such a VM keeps the key as a removed one until it is rebuilt or
// terminated. To the account it is then as if the key had never been.
func (k *Keeper) RemoveKey(ctx context.Context, m *types.MsgRemoveSSHKey) ([]string, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	key, err := k.key(ctx, m.Owner, m.Name)
	if err != nil {
		return nil, err
	}
	users, err := k.usersOf(ctx, key)
	if err != nil {
		return nil, err
	}
	if len(users) > 0 && !m.Force {
		return nil, types.ErrKeyInUse.Wrapf("SSH key %q lets into %s; rebuild them with other keys or terminate them first, or force the removal: they keep the key then", m.Name, listed(users))
	}
	ids := make([]string, 0, len(users))
	for _, v := range users {
		if err := k.disown(ctx, v, key); err != nil {
			return nil, err
		}
		ids = append(ids, v.Id)
	}
	emit(ctx, types.EventKeyRemoved,
		sdk.NewAttribute(types.AttributeOwner, m.Owner),
		sdk.NewAttribute(types.AttributeName, m.Name),
		sdk.NewAttribute(types.AttributeFingerprint, key.Fingerprint))
	return ids, k.keys.Remove(ctx, collections.Join(m.Owner, m.Name))
}

// usersOf are the VMs that name a key.
func (k *Keeper) usersOf(ctx context.Context, key types.SSHKey) ([]types.VM, error) {
	if key.UsedBy == 0 {
		return nil, nil
	}
	var users []types.VM
	err := k.live.Walk(ctx, collections.NewPrefixedPairRange[string, string](key.Owner), func(id ownerKey) (bool, error) {
		v, err := k.VM(ctx, id.K2())
		if err == nil && !v.Ended() && slices.Contains(v.Spec.SshKeys, key.Name) {
			users = append(users, v)
		}
		return false, err
	})
	return users, err
}

// disown moves a key from those that a VM names to the removed ones that it keeps.
func (k *Keeper) disown(ctx context.Context, v types.VM, key types.SSHKey) error {
	old := v
	v.Spec.SshKeys = without(v.Spec.SshKeys, key.Name)
	v.RemovedKeys = append(slices.Clone(v.RemovedKeys), types.RemovedKey{
		Name: key.Name, PublicKey: key.PublicKey, Fingerprint: key.Fingerprint, RemovedAt: now(ctx),
	})
	v.Generation++
	return k.requested(ctx, &old, v, "remove_key")
}

// without is a list without one of its words; the list itself stays.
func without(list []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == word })
}

// listed names some VMs, not endlessly many.
func listed(vms []types.VM) string {
	var names []string
	for _, v := range vms[:min(len(vms), maxNamedVMs)] {
		names = append(names, v.Spec.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(vms) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// rekey gives a VM whose disk becomes a blank one the keys that are named, or
// leaves it those it has. Removed ones are not installed again.
func (k *Keeper) rekey(ctx context.Context, v *types.VM, names []string) error {
	if len(names) == 0 {
		names = v.Spec.SshKeys
	}
	if len(names) == 0 {
		return types.ErrNoKey.Wrapf("the account has removed every SSH key of VM %s, and a rebuild does not install removed keys; name keys of the account to rebuild it with", v.Id)
	}
	if err := k.useKeys(ctx, v.Owner, names, 1); err != nil {
		return err
	}
	if err := k.useKeys(ctx, v.Owner, v.Spec.SshKeys, -1); err != nil {
		return err
	}
	v.Spec.SshKeys, v.RemovedKeys = names, nil
	return nil
}

func (k *Keeper) key(ctx context.Context, owner, name string) (types.SSHKey, error) {
	key, err := k.keys.Get(ctx, collections.Join(owner, name))
	if errors.Is(err, collections.ErrNotFound) {
		return key, types.ErrUnknownKey.Wrapf("the account has no SSH key %q", name)
	}
	return key, err
}

// useKeys counts a VM that names keys, or with -1 one that does no more.
func (k *Keeper) useKeys(ctx context.Context, owner string, names []string, by int32) error {
	for _, name := range names {
		key, err := k.key(ctx, owner, name)
		if err != nil {
			return err
		}
		key.UsedBy = uint32(int32(key.UsedBy) + by)
		if err := k.keys.Set(ctx, collections.Join(owner, name), key); err != nil {
			return err
		}
	}
	return nil
}
