package wallet

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cosmos/btcutil/bech32"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/hdkeychain/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const meshSeedOfAbandon = "43645939b3277276e9a4738f3ab1419b9946529893caf88a97d05045ae537621"

const abandon = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

func TestFromPhraseKnownAccount(t *testing.T) {
	w, err := FromPhrase("  Abandon " + strings.TrimPrefix(abandon, "abandon ") + "\n")
	require.NoError(t, err)
	raw, err := ParseAddress(w.Address())
	require.NoError(t, err)
	// The account that every wallet of this coin type shows for that phrase, under another prefix.
	_, want, err := bech32.DecodeToBase256("cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4")
	require.NoError(t, err)
	require.Equal(t, want, raw)
	require.Equal(t, abandon, w.Phrase())
}

// BIP-32 test vector 3: a hardened child of a key with leading zeros.
func TestDeriveKeepsLeadingZeros(t *testing.T) {
	seed, err := hex.DecodeString("4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be")
	require.NoError(t, err)
	master, err := hdkeychain.NewMaster(seed, versions{})
	require.NoError(t, err)
	priv, err := master.SerializedPrivKey()
	require.NoError(t, err)
	require.Equal(t, "00ddb80b067e0d4993197fe10f2657a844a384589847602d56f0c629c81aae32", hex.EncodeToString(priv))
	child, err := master.ChildBIP32Std(hdkeychain.HardenedKeyStart)
	require.NoError(t, err)
	priv, err = child.SerializedPrivKey()
	require.NoError(t, err)
	require.Equal(t, "491f7a2eebc7b57028e0d3faa0acda02e75c33b03c48fb288c41e2ea44e1daef", hex.EncodeToString(priv))
}

func TestNewPhrase(t *testing.T) {
	phrase, err := NewPhrase(rand.Reader)
	require.NoError(t, err)
	require.Len(t, strings.Fields(phrase), PhraseWords)
	w, err := FromPhrase(phrase)
	require.NoError(t, err)
	other, err := NewPhrase(rand.Reader)
	require.NoError(t, err)
	w2, err := FromPhrase(other)
	require.NoError(t, err)
	require.NotEqual(t, w.Address(), w2.Address())
}

func TestFromPhraseRefuses(t *testing.T) {
	for name, phrase := range map[string]string{
		"empty":     "",
		"few":       "abandon about",
		"thirteen":  abandon + " abandon",
		"misspelt":  strings.Replace(abandon, "about", "abuot", 1),
		"checksum":  strings.Replace(abandon, "about", "abandon", 1),
		"very long": strings.Repeat("abandon ", 1000),
	} {
		_, err := FromPhrase(phrase)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "abuot", "an error must not repeat the phrase")
	}
}

func TestFromKeyRefuses(t *testing.T) {
	order := secp256k1.Params().N.Bytes()
	for name, key := range map[string][]byte{
		"empty": nil, "short": make([]byte, 31), "long": make([]byte, 33), "zero": make([]byte, 32), "order": order,
	} {
		_, err := FromKey(key)
		require.Error(t, err, name)
	}
}

func TestSignVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		key[0], key[31] = 1, key[31]|1
		w, err := FromKey(key)
		require.NoError(t, err)
		digest := sha256.Sum256(rapid.SliceOf(rapid.Byte()).Draw(t, "message"))
		sig, err := w.Sign(digest[:])
		require.NoError(t, err)
		require.Len(t, sig, SignatureSize)
		require.True(t, Verify(w.PublicKey(), digest[:], sig))

		bad := bytes.Clone(sig)
		bad[rapid.IntRange(0, 63).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		require.False(t, Verify(w.PublicKey(), digest[:], bad))

		var s secp256k1.ModNScalar
		s.SetByteSlice(sig[32:])
		s.Negate()
		high := bytes.Clone(sig)
		s.PutBytesUnchecked(high[32:])
		require.False(t, Verify(w.PublicKey(), digest[:], high), "the malleated signature")
	})
}

func TestVerifyBadInput(t *testing.T) {
	w, err := FromPhrase(abandon)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte("x"))
	sig, err := w.Sign(digest[:])
	require.NoError(t, err)
	_, err = w.Sign(digest[:31])
	require.Error(t, err)
	for name, bad := range map[string]bool{
		"no key":       Verify(nil, digest[:], sig),
		"bad key":      Verify(make([]byte, 33), digest[:], sig),
		"short digest": Verify(w.PublicKey(), digest[:31], sig),
		"no signature": Verify(w.PublicKey(), digest[:], nil),
		"zero":         Verify(w.PublicKey(), digest[:], make([]byte, 64)),
		"all ones":     Verify(w.PublicKey(), digest[:], bytes.Repeat([]byte{255}, 64)),
	} {
		require.False(t, bad, name)
	}
}

func TestParseAddressRefuses(t *testing.T) {
	w, err := FromPhrase(abandon)
	require.NoError(t, err)
	good := w.Address()
	require.True(t, strings.HasPrefix(good, "hip1"), good)
	for _, s := range []string{
		"", "hip1", good[:len(good)-1], good + "q", strings.ToUpper(good[:5]) + good[5:],
		"cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4", strings.Repeat("h", 10000),
	} {
		_, err := ParseAddress(s)
		require.Error(t, err, "%.100q", s)
	}
	for _, pub := range [][]byte{nil, make([]byte, 33), make([]byte, 65)} {
		_, err := Address(pub)
		require.Error(t, err)
	}
}

func TestSeeds(t *testing.T) {
	w, err := FromPhrase(abandon)
	require.NoError(t, err)
	a, err := w.Seed("a")
	require.NoError(t, err)
	b, err := w.Seed("b")
	require.NoError(t, err)
	again, err := w.Seed("a")
	require.NoError(t, err)
	require.Len(t, a, SeedSize)
	require.Equal(t, a, again)
	require.NotEqual(t, a, b)
	// A seed that changes with a release would lock tenants out of their networks.
	mesh, err := w.Seed("hippius mesh ca v1")
	require.NoError(t, err)
	require.Equal(t, meshSeedOfAbandon, hex.EncodeToString(mesh))

	bare, err := FromKey(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	_, err = bare.Seed("a")
	require.ErrorIs(t, err, ErrNoPhrase)
}

func FuzzParseAddress(f *testing.F) {
	f.Add("hip19rl4cm2hmr8afy4kldpxz3fka4jguq0a")
	f.Fuzz(func(t *testing.T, s string) {
		raw, err := ParseAddress(s)
		if err == nil && len(raw) != 20 && len(raw) != 32 {
			t.Fatalf("%q gave %d bytes", s, len(raw))
		}
	})
}
