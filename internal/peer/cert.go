package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"
)

var (
	errNoCertificate = errors.New("the other side showed no certificate")
	errNotEd25519    = errors.New("the other side's certificate does not hold an Ed25519 key")
)

// selfSigned wraps key in a certificate that says nothing else.
func selfSigned(key ed25519.PrivateKey) (tls.Certificate, error) {
	if len(key) != ed25519.PrivateKeySize {
		return tls.Certificate{}, fmt.Errorf("identity key is %d bytes long, want %d", len(key), ed25519.PrivateKeySize)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		// RFC 5280, 4.1.2.5: a certificate with no well-defined end.
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make identity certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// identityOf returns the key the other side proved. The handshake itself checks that the other side signed with it;
// what is checked here is that it is one key, of the one kind we accept.
func identityOf(state tls.ConnectionState) (ed25519.PublicKey, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, errNoCertificate
	}
	if n := len(state.PeerCertificates); n != 1 {
		return nil, fmt.Errorf("the other side showed %d certificates, want one", n)
	}
	pub, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return nil, errNotEd25519
	}
	return pub, nil
}

// WrongKeyError is a server that proved another key than the pinned ones: the wrong address, or an impostor.
type WrongKeyError struct {
	Got  ed25519.PublicKey
	Want []ed25519.PublicKey // what was pinned; empty means nothing was
}

func (e *WrongKeyError) Error() string {
	want := "none"
	for i, k := range e.Want {
		if i == 0 {
			want = ""
		} else {
			want += " or "
		}
		want += hex.EncodeToString(k)
	}
	return fmt.Sprintf("server identity is %s, pinned is %s", hex.EncodeToString(e.Got), want)
}
