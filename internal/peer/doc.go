// Package peer is how nodes talk to each other: gRPC over TLS 1.3 in which each side proves an Ed25519 identity key.
//
// There is no certificate authority and no name: a certificate is made in memory from the identity key and carries
// nothing but it. A client pins the key it expects. A server accepts any caller that proves some key, and leaves to the
// service what that key may do: handlers ask Identity, or a Verifier refuses before they run.
//
// Dates in certificates are not looked at: a key is in force for as long as whoever lists it (a registry, a profile)
// says so, and a node with a wrong clock must still be able to say who it is.
package peer
