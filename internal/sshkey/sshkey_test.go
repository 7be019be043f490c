package sshkey

import (
	"crypto/dsa" //nolint:staticcheck // to be refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func line(t *testing.T, pub any) string {
	t.Helper()
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p)))
}

func ed(t *testing.T) (string, ed25519.PrivateKey) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return line(t, pub), priv
}

// rsaLine makes a public key of so many bits without the cost of finding primes.
func rsaLine(t *testing.T, bits int) string {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.Add(n, big.NewInt(9))
	return line(t, &rsa.PublicKey{N: n, E: 65537})
}

// sk is a security key's public key, of an authenticator for "ssh:".
func sk(t *testing.T) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var blob []byte
	for _, f := range [][]byte{[]byte(ssh.KeyAlgoSKED25519), pub, []byte("ssh:")} {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(f)))
		blob = append(blob, f...)
	}
	p, err := ssh.ParsePublicKey(blob)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p)))
}

func TestAccepted(t *testing.T) {
	edLine, _ := ed(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []string{edLine, rsaLine(t, 2048), rsaLine(t, 4096), line(t, &ec.PublicKey), sk(t)} {
		for _, form := range []string{l, l + "\n", "  " + l, l + " me@laptop", `command="echo hi",no-pty ` + l + " me@laptop"} {
			k, err := Parse(form)
			if err != nil {
				t.Errorf("%.60s: %v", form, err)
				continue
			}
			if k.Line != l || !strings.HasPrefix(l, k.Type+" ") || !strings.HasPrefix(k.Fingerprint, "SHA256:") {
				t.Errorf("got %+v for %s", k, l)
			}
			if strings.Contains(form, "me@laptop") != (k.Comment == "me@laptop") {
				t.Errorf("comment %q", k.Comment)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	edLine, priv := ed(t)
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(block))
	dsaKey := dsa.PublicKey{
		Parameters: dsa.Parameters{P: new(big.Int).SetBit(big.NewInt(1), 1023, 1), Q: new(big.Int).SetBit(big.NewInt(1), 159, 1), G: big.NewInt(2)},
		Y:          big.NewInt(3),
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"private", private, ErrPrivate},
		{"private on one line", strings.ReplaceAll(private, "\n", " "), ErrPrivate},
		{"private without frame", strings.Split(private, "\n")[1], ErrPrivate},
		{"old private", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", ErrPrivate},
		{"putty", "PuTTY-User-Key-File-3: ssh-ed25519", ErrPrivate},
		{"short RSA", rsaLine(t, 2047), ErrWeak},
		{"shorter RSA", rsaLine(t, 1024), ErrWeak},
		{"dsa", line(t, &dsaKey), ErrType},
		{"empty", " \n", ErrMalformed},
		{"comment", "# " + edLine, ErrMalformed},
		{"two keys", edLine + "\n" + edLine, ErrMalformed},
		{"cut", edLine[:40], ErrMalformed},
		{"words", "my laptop's key", ErrMalformed},
		{"long", strings.Repeat("a", MaxLine+1), ErrMalformed},
		{"certificate", "ssh-ed25519-cert-v01@openssh.com AAAA", ErrMalformed},
	} {
		_, err := Parse(c.text)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7ufbxzM8F2vGzUWvSQ0eMuhGhS2qW0g9pFyHIeXqpt me")
	f.Add("-----BEGIN OPENSSH PRIVATE KEY-----")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(k.Line)
		if err != nil || again.Line != k.Line || again.Fingerprint != k.Fingerprint || strings.ContainsAny(k.Line, "\n\"#") {
			t.Fatalf("%q gave %+v, then %+v, %v", s, k, again, err)
		}
	})
}
