package instance

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/hippius/compute/core/vm"
)

// field is a length-prefixed append, so that no two field lists share an encoding.
func field(b, f []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
	return append(b, f...)
}

// ReceiptDigest is what a keeper signs with its identity key to say that it
// holds its share and the sealed bundle of one instance.
func ReceiptDigest(chainID, owner string, id vm.ID, seq uint32, epoch uint64, commitmentHash, bundleHash []byte) []byte {
	b := []byte("hippius/keeper-receipt/v1\x00")
	b = field(b, []byte(chainID))
	b = field(b, []byte(owner))
	b = field(b, []byte(id))
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = field(b, commitmentHash)
	b = field(b, bundleHash)
	sum := sha256.Sum256(b)
	return sum[:]
}

// ShareAAD binds a sealed share to its place: it opens under no other chain,
// owner, VM, instance, keeper or committee epoch.
func ShareAAD(chainID, owner string, id vm.ID, seq uint32, keeper []byte, epoch uint64) []byte {
	b := []byte("hippius/share/v1\x00")
	b = field(b, []byte(chainID))
	b = field(b, []byte(owner))
	b = field(b, []byte(id))
	b = binary.BigEndian.AppendUint32(b, seq)
	b = field(b, keeper)
	return binary.BigEndian.AppendUint64(b, epoch)
}

// BundleAAD binds a sealed bundle to its chain, owner, VM and instance.
func BundleAAD(chainID, owner string, id vm.ID, seq uint32) []byte {
	b := []byte("hippius/bundle/v1\x00")
	b = field(b, []byte(chainID))
	b = field(b, []byte(owner))
	b = field(b, []byte(id))
	return binary.BigEndian.AppendUint32(b, seq)
}

// UserDataAAD binds sealed user data to its chain, owner and VM.
func UserDataAAD(chainID, owner string, id vm.ID) []byte {
	b := []byte("hippius/user-data/v1\x00")
	b = field(b, []byte(chainID))
	b = field(b, []byte(owner))
	return field(b, []byte(id))
}

// ShareInfo is the HPKE info string of a sealed share.
const ShareInfo = "hippius share v1"
