package sealbox

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzOpen: a box opens only as it was sealed, to the last bit.
func FuzzOpen(f *testing.F) {
	k, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	box, err := Seal(k.Public(), "info", []byte("aad"), []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box, []byte("aad"))
	f.Add(box[:Overhead], []byte("aad"))
	f.Add(make([]byte, Overhead+5), []byte(nil))
	f.Fuzz(func(t *testing.T, b, aad []byte) {
		plain, err := k.Open("info", aad, b)
		if err != nil {
			if !errors.Is(err, ErrOpen) || plain != nil {
				t.Errorf("%v, and %d bytes", err, len(plain))
			}
			return
		}
		// Who knows the public key seals what he likes, but this fuzzer does not.
		if !bytes.Equal(b, box) || string(aad) != "aad" || string(plain) != "plain" {
			t.Errorf("%x under %q opened as %q", b, aad, plain)
		}
	})
}
