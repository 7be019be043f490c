package peer

import (
	"context"
	"crypto/ed25519"

	grpcpeer "google.golang.org/grpc/peer"
)

// InProcess is the context of a call that the holder of key makes to a service in its own process, without a
// connection: Identity gives the key's public half, as if it had been proved.
func InProcess(ctx context.Context, key ed25519.PrivateKey) context.Context {
	identity := ed25519.PublicKey(key[ed25519.SeedSize:])
	return grpcpeer.NewContext(ctx, &grpcpeer.Peer{AuthInfo: authInfo{identity: identity}})
}
