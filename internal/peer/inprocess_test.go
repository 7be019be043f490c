package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
)

func TestInProcess(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := Identity(InProcess(t.Context(), key)); !ok || !got.Equal(pub) {
		t.Errorf("the identity is %x, %v; want %x", got, ok, pub)
	}
	if _, ok := Identity(t.Context()); ok {
		t.Error("a context of nobody's call has an identity")
	}
}
