// Package nebula joins a process to a private network: it is the only package
// that knows Nebula's node; the certificates are in package cert.
//
// A [Node] is one member of one network. It runs in one of three modes: with a
// tun device (inside a VM, needs root), in userspace (a laptop; no
// root, traffic enters and leaves through [Node.DialContext] and [Node.Listen])
// or without any device (a lighthouse, which introduces members and relays
// their ciphertext).
//
// # Trust
//
// Every tenant is its own certificate authority, and so is every lighthouse
// operator. A member's bundle therefore holds two kinds of authority, which
// [Config] keeps apart: its own network's, whose members may speak to it, and
// its lighthouses', who may introduce and relay but never speak. Three things
// keep an operator out, each sufficient alone: an operator's authority is
// refused unless it is pinned to addresses outside the member's networks,
// Nebula drops packets from addresses outside the member's networks, and every
// firewall rule is bound to the fingerprints of the network's own authorities.
package nebula
