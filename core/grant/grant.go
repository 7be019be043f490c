// Package grant is a wallet's word that a short-lived client key may act for it
// towards one party, for one VM, for a short time.
package grant

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/hippius/compute/core/vm"
)

// MaxLife is how far ahead of now a grant may expire.
const MaxLife = time.Hour

// Purpose is what a grant allows.
type Purpose string

// The purposes there are.
const (
	Deal         Purpose = "deal"
	OwnerRelease Purpose = "owner-release"
	Console      Purpose = "console"
)

// Grant is the signed statement without its signature.
type Grant struct {
	Purpose Purpose
	ChainID string
	VMID    vm.ID
	// Audience is the Ed25519 identity of the party addressed, ClientKey that of the caller.
	Audience  []byte
	ClientKey []byte
	// ExpiresAt in unix seconds.
	ExpiresAt int64
}

// Digest is what the wallet signs. Its prefix is no valid start of a transaction's sign bytes.
func (g Grant) Digest() []byte {
	b := []byte("hippius/grant/v1\x00")
	for _, f := range [][]byte{[]byte(g.Purpose), []byte(g.ChainID), []byte(g.VMID), g.Audience, g.ClientKey} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(g.ExpiresAt))
	sum := sha256.Sum256(b)
	return sum[:]
}

// Want is what the receiver of a grant requires of it.
type Want struct {
	Purpose   Purpose
	ChainID   string
	VMID      vm.ID
	Audience  []byte
	ClientKey []byte
	Now       time.Time
}

// Check says what does not fit, or nil. It does not verify the signature.
func (g Grant) Check(w Want) error {
	expires := time.Unix(g.ExpiresAt, 0)
	switch {
	case g.Purpose != w.Purpose:
		return fmt.Errorf("grant is for %.40q, not %q", g.Purpose, w.Purpose)
	case g.ChainID != w.ChainID:
		return fmt.Errorf("grant is for chain %.60q, not %q", g.ChainID, w.ChainID)
	case g.VMID != w.VMID:
		return fmt.Errorf("grant is for VM %.40q, not %q", g.VMID, w.VMID)
	case !bytes.Equal(g.Audience, w.Audience):
		return fmt.Errorf("grant is addressed to another party")
	case !bytes.Equal(g.ClientKey, w.ClientKey):
		return fmt.Errorf("grant is for another client key")
	case !w.Now.Before(expires):
		return fmt.Errorf("grant expired at %s; sign a new one", expires.UTC().Format(time.RFC3339))
	case expires.After(w.Now.Add(MaxLife)):
		return fmt.Errorf("grant expires more than %s ahead; sign a shorter one, and check the clock", MaxLife)
	}
	return nil
}
