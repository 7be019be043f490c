package mesh

import "net/netip"

// AuthorityLabel is what an account's wallet grows the seed of its own mesh authority under. Changed, it would lock
// accounts out of their networks.
const AuthorityLabel = "hippius mesh ca v1"

// FingerprintSize of a certificate: a SHA-256, in bytes.
const FingerprintSize = 32

// Bounds of what the chain lists and every member of a mesh takes.
const (
	// MaxRevocations of one tenant, whatever the parameter says.
	MaxRevocations = 4096
	// MaxCertificate is the longest CA certificate, in bytes.
	MaxCertificate = 1024
	// MaxEndpoints of one lighthouse.
	MaxEndpoints = 8
)

// Tenant is an account's place in the mesh. Times are unix seconds, 0 for never.
type Tenant struct {
	// Owner is the account address.
	Owner string
	Block Block
	// Networks of the block; none once it was released.
	Networks []netip.Prefix
	// CAPublicKey is Ed25519, 32 bytes. CACertificate is empty until it is set; lighthouses check it against Networks.
	CAPublicKey, CACertificate []byte
	Devices                    []Device
	// Revoked certificates' fingerprints, FingerprintSize bytes each.
	Revoked       [][]byte
	ChangedHeight int64
	RegisteredAt  int64
	// VMs of the owner that are not terminated.
	VMs uint32
	// ReleaseAt is when the block is released for want of a VM.
	ReleaseAt int64
}

// Device is a tenant's laptop or other host outside the network's miners.
type Device struct {
	Name string
	// Host number inside the block.
	Host    uint32
	Address netip.Addr
	AddedAt int64
}

// Lighthouse is a lighthouse as the chain has it, in its set while its rent is paid. What its certificate says is not
// checked. Times are unix seconds.
type Lighthouse struct {
	// Operator is an account address.
	Operator string
	Name     string
	// Address is one of LighthouseNetwork.
	Address       netip.Addr
	CACertificate []byte
	// Endpoints host:port, UDP.
	Endpoints     []string
	Relay         bool
	ChangedHeight int64
	// ExpiresAt is until when its rent is paid.
	ExpiresAt int64
}
