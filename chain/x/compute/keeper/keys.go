package keeper

import (
	"context"
	"errors"

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

// RemoveKey forgets a key that no VM names.
func (k *Keeper) RemoveKey(ctx context.Context, m *types.MsgRemoveSSHKey) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	key, err := k.key(ctx, m.Owner, m.Name)
	if err != nil {
		return err
	}
	if key.UsedBy > 0 {
		return types.ErrKeyInUse.Wrapf("SSH key %q is named by %d VMs; terminate them first", m.Name, key.UsedBy)
	}
	emit(ctx, types.EventKeyRemoved,
		sdk.NewAttribute(types.AttributeOwner, m.Owner),
		sdk.NewAttribute(types.AttributeName, m.Name),
		sdk.NewAttribute(types.AttributeFingerprint, key.Fingerprint))
	return k.keys.Remove(ctx, collections.Join(m.Owner, m.Name))
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
