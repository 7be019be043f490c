package overlay

import (
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/xts"
)

// The shape of a LUKS version 1 header as QEMU writes it: AES-256 in XTS mode
// with sector numbers for initialisation, eight key slots, each key spread
// over 4000 stripes. (LUKS On-Disk Format Specification, version 1.2.3)
const (
	luksKeyBytes  = 64 // two AES-256 keys
	luksStripes   = 4000
	luksSlots     = 8
	luksSector    = 512
	luksHeader    = 4096 // the slots' material begins here
	luksMaterial  = luksKeyBytes * luksStripes
	luksSlotBytes = (luksMaterial + 4095) / 4096 * 4096
	luksBytes     = luksHeader + luksSlots*luksSlotBytes

	luksSlotOn  = 0x00AC71F3
	luksSlotOff = 0x0000DEAD

	// luksRounds slow down guessing the passphrase. Ours is random: there is
	// nothing to guess, and every start of the VM pays for them.
	luksRounds = 1000
)

type luksSlot struct {
	Active, Rounds   uint32
	Salt             [32]byte
	Material, Stripe uint32 // in sectors from the header; count
}

type luksPrefix struct {
	Magic              [6]byte
	Version            uint16
	Cipher, Mode, Hash [32]byte
	Payload, KeyBytes  uint32
	Digest             [20]byte
	DigestSalt         [32]byte
	DigestRounds       uint32
	UUID               [40]byte
	Slots              [luksSlots]luksSlot
}

// newLUKS makes a header with a new random volume key, which the passphrase
// opens by the first slot. The other slots' material is left out: it is zeros.
func newLUKS(passphrase []byte) ([]byte, error) {
	h := luksPrefix{
		Magic: [6]byte{'L', 'U', 'K', 'S', 0xba, 0xbe}, Version: 1,
		Payload: luksBytes / luksSector, KeyBytes: luksKeyBytes, DigestRounds: luksRounds,
	}
	copy(h.Cipher[:], "aes")
	copy(h.Mode[:], "xts-plain64")
	copy(h.Hash[:], "sha256")
	for i := range h.Slots {
		h.Slots[i] = luksSlot{
			Active: luksSlotOff, Stripe: luksStripes,
			Material: uint32((luksHeader + i*luksSlotBytes) / luksSector), //nolint:gosec // small
		}
	}
	volumeKey := make([]byte, luksKeyBytes)
	id := make([]byte, 16)
	slot := &h.Slots[0]
	slot.Active, slot.Rounds = luksSlotOn, luksRounds
	for _, b := range [][]byte{volumeKey, id, h.DigestSalt[:], slot.Salt[:]} {
		_, _ = rand.Read(b) // never fails
	}
	copy(h.UUID[:], fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]))
	digest, err := pbkdf2.Key(sha256.New, string(volumeKey), h.DigestSalt[:], luksRounds, len(h.Digest))
	if err != nil {
		return nil, fmt.Errorf("digest of the volume key: %w", err)
	}
	copy(h.Digest[:], digest)

	material, err := sealKey(volumeKey, passphrase, slot.Salt[:])
	if err != nil {
		return nil, err
	}
	out, err := binary.Append(nil, binary.BigEndian, &h)
	if err != nil {
		return nil, fmt.Errorf("encode header: %w", err)
	}
	out = append(out, make([]byte, luksHeader-len(out))...)
	return append(out, material...), nil
}

// sealKey spreads the volume key over stripes and encrypts them with what the
// passphrase is hashed to.
func sealKey(volumeKey, passphrase, salt []byte) ([]byte, error) {
	slotKey, err := pbkdf2.Key(sha256.New, string(passphrase), salt, luksRounds, luksKeyBytes)
	if err != nil {
		return nil, fmt.Errorf("key of the slot: %w", err)
	}
	cipher, err := xts.NewCipher(aes.NewCipher, slotKey)
	if err != nil {
		return nil, fmt.Errorf("cipher of the slot: %w", err)
	}
	material := split(volumeKey)
	for i := 0; i < len(material); i += luksSector {
		sector := material[i : i+luksSector]
		cipher.Encrypt(sector, sector, uint64(i/luksSector)) //nolint:gosec // not negative
	}
	return material, nil
}

// split spreads key so that losing any one stripe loses the key: all stripes
// but the last are random, and the last is the key hidden by all others.
func split(key []byte) []byte {
	out := make([]byte, len(key)*luksStripes)
	last := out[len(out)-len(key):]
	_, _ = rand.Read(out[:len(out)-len(key)]) // never fails
	sum := make([]byte, len(key))
	for stripe := out; len(stripe) > len(key); stripe = stripe[len(key):] {
		for i := range sum {
			sum[i] ^= stripe[i]
		}
		diffuse(sum)
	}
	for i := range last {
		last[i] = sum[i] ^ key[i]
	}
	return out
}

// diffuse hashes each block of b, numbered, in place.
func diffuse(b []byte) {
	for i := 0; i < len(b); i += sha256.Size {
		block := b[i:min(i+sha256.Size, len(b))]
		sum := sha256.Sum256(append(binary.BigEndian.AppendUint32(nil, uint32(i/sha256.Size)), block...)) //nolint:gosec // small
		copy(block, sum[:])
	}
}
