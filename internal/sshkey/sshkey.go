// Package sshkey reads the public keys that people paste, in the form of an
// authorized_keys line, and says plainly what is wrong with one that cannot be
// used. The command line and the chain judge alike.
package sshkey

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	// MaxLine is the longest line read, in bytes: a 16384 bit RSA key with options and comment.
	MaxLine = 8192
	// MinRSABits is the shortest RSA key accepted.
	MinRSABits = 2048
)

// What may be wrong with a key, for errors.Is.
var (
	ErrPrivate   = errors.New("private key")
	ErrWeak      = errors.New("weak key")
	ErrType      = errors.New("key type not accepted")
	ErrMalformed = errors.New("no SSH public key")
)

// Key is a public key that may log in.
type Key struct {
	// Type such as "ssh-ed25519".
	Type string
	// Line is type and base64 alone, without options or comment.
	Line string
	// Comment that followed the key, as it stood.
	Comment string
	// Fingerprint "SHA256:…".
	Fingerprint string
}

// Parse reads one authorized_keys line. Options before the key are dropped and
// the comment is kept apart. The error is one sentence that wraps what is wrong.
func Parse(text string) (Key, error) {
	if private(text[:min(len(text), MaxLine)]) {
		return Key{}, refuse(ErrPrivate, "this is a private key, which must never leave your computer: paste the public key, the line in the file that ends in .pub, and make a new key pair if anyone may have seen this one")
	}
	if len(text) > MaxLine {
		return Key{}, refuse(ErrMalformed, "the key has %d bytes; a public key line has at most %d", len(text), MaxLine)
	}
	line := strings.TrimSpace(text)
	if strings.ContainsAny(line, "\n\r\x00") {
		return Key{}, refuse(ErrMalformed, "the key has several lines; paste one public key, a single line such as ssh-ed25519 AAAA…")
	}
	if strings.HasPrefix(line, "#") || line == "" {
		return Key{}, refuse(ErrMalformed, "there is no key; paste a single line such as ssh-ed25519 AAAA…")
	}
	pub, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return Key{}, refuse(ErrMalformed, "this is no SSH public key (%v); paste a single line such as ssh-ed25519 AAAA…", err)
	}
	if err := accept(pub); err != nil {
		return Key{}, err
	}
	return Key{
		Type:        pub.Type(),
		Line:        strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))),
		Comment:     comment,
		Fingerprint: ssh.FingerprintSHA256(pub),
	}, nil
}

func accept(pub ssh.PublicKey) error {
	switch pub.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		crypto, ok := pub.(ssh.CryptoPublicKey)
		if !ok {
			return refuse(ErrMalformed, "this RSA key cannot be read")
		}
		key, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
		if !ok {
			return refuse(ErrMalformed, "this RSA key cannot be read")
		}
		if n := key.N.BitLen(); n < MinRSABits {
			return refuse(ErrWeak, "this RSA key has %d bits; at least %d are accepted, or use ssh-ed25519", n, MinRSABits)
		}
		return nil
	default:
		return refuse(ErrType, "keys of type %.40s are not accepted; use ssh-ed25519, ssh-rsa of %d bits or more, ecdsa-sha2-* or sk-*", pub.Type(), MinRSABits)
	}
}

// private recognises the private forms of PEM, OpenSSH and PuTTY, also when cut or indented.
func private(s string) bool {
	up := strings.ToUpper(s)
	return strings.Contains(up, "PRIVATE KEY") || strings.Contains(up, "PUTTY-USER-KEY-FILE") ||
		strings.Contains(up, "PRIVATE-LINES") || strings.Contains(s, "b3BlbnNzaC1rZXktdjE") // base64 of "openssh-key-v1"
}

type keyError struct {
	kind     error
	sentence string
}

func refuse(kind error, format string, args ...any) error {
	return &keyError{kind, fmt.Sprintf(format, args...)}
}

func (e *keyError) Error() string { return e.sentence }
func (e *keyError) Unwrap() error { return e.kind }
