// Package tenant is what any program of a tenant does, be it a command line, a
// browser or a service: it orders VMs, makes the secrets their instances run
// with and deals them to the keepers, certifies hosts and devices, and checks
// and prices an order by the chain's own rules.
//
// It prints nothing and keeps no file. Chain, keepers, wallet and the mesh's
// certificates are given to it; cli/connect joins them.
package tenant

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net/netip"
	"time"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Chain answers a tenant's questions.
type Chain interface {
	Records
	Catalogue
}

// Records are an account's own. found is false, without an error, for what is not on chain.
type Records interface {
	Tenant(ctx context.Context, owner string) (t mesh.Tenant, found bool, err error)
	// VMs of an account, terminated ones only on request.
	VMs(ctx context.Context, owner string, terminated bool) ([]vm.VM, error)
	// VMByName is the one that is not terminated.
	VMByName(ctx context.Context, owner, name string) (v vm.VM, found bool, err error)
	SSHKeys(ctx context.Context, owner string) ([]vm.SSHKey, error)
	// Committee of keepers to deal to.
	Committee(ctx context.Context) (node.Committee, error)
}

// Catalogue is what can be rented, and from whom.
type Catalogue interface {
	Plans(ctx context.Context) ([]plan.Priced, error)
	Images(ctx context.Context) ([]plan.Image, error)
	Apps(ctx context.Context) ([]plan.App, error)
	Quote(ctx context.Context, account, plan string) (plan.Quote, error)
	Params(ctx context.Context) (params.Params, error)
	Miners(ctx context.Context) ([]node.Miner, error)
	Miner(ctx context.Context, operator string) (node.Miner, error)
}

// Sender sends transactions of the account and waits for each.
type Sender interface {
	RegisterTenant(ctx context.Context, caPublicKey []byte) error
	SetTenantCA(ctx context.Context, certificate []byte) error
	AddDevice(ctx context.Context, name string) (mesh.Device, error)
	CreateVM(ctx context.Context, nonce []byte, spec vm.Spec, instances []vm.Instance) (vm.ID, error)
	DealInstances(ctx context.Context, id vm.ID, instances []vm.Instance) error
}

// Wallet is the account's.
type Wallet interface {
	Address() string
	PublicKey() []byte
	Sign(digest []byte) ([]byte, error)
	// Seed of 32 bytes, always the same for a label and telling nothing of other labels' seeds.
	Seed(label string) ([]byte, error)
}

// Keepers reaches keepers. It returns without connecting; release ends the connection.
type Keepers interface {
	Keeper(k node.Keeper) (client keeperv1.KeeperClient, release func(), err error)
	// Key is the public key the connections prove, 32 bytes.
	Key() ed25519.PublicKey
}

// Certificates makes those of the account's mesh.
type Certificates interface {
	// PublicKey of the authority that grows from a seed; 32 bytes.
	PublicKey(seed []byte) ([]byte, error)
	// Make the authority for exactly these networks, valid from now on.
	Make(seed []byte, networks []netip.Prefix, name string, now time.Time) (Authority, error)
	// Open the authority whose certificate exists already.
	Open(seed, certificate []byte) (Authority, error)
}

// Authority signs for the members of one mesh.
type Authority interface {
	// Certificate is the authority's own, as it stands on chain; PEM is the same as text.
	Certificate() []byte
	PEM() string
	// Issue makes a member's key and certifies it.
	Issue(m Member, now time.Time) (Identity, error)
}

// Member of a mesh.
type Member struct {
	Name, Group string
	Addr        netip.Addr
	// Validity from now on.
	Validity time.Duration
}

// Identity of a member: its certificate and key, each a PEM.
type Identity struct {
	Cert, Key string
	// Fingerprint of the certificate, 32 bytes.
	Fingerprint []byte
	NotAfter    time.Time
}

// Reader asks and reckons for an account; it needs no wallet.
type Reader struct {
	chain   Chain
	account string
	now     func() time.Time
}

// NewReader for the account of an address.
func NewReader(account string, chain Chain, now func() time.Time) *Reader {
	return &Reader{chain: chain, account: account, now: now}
}

// Config of a Client. Everything but Rand and AtOnce is required.
type Config struct {
	ChainID      string
	Chain        Chain
	Sender       Sender
	Wallet       Wallet
	Keepers      Keepers
	Certificates Certificates
	// Now is the clock that grants and certificates are dated by.
	Now func() time.Time
	// Rand gives VMs' nonces; crypto/rand when nil.
	Rand io.Reader
	// AtOnce is how many instances a VM is given at once, 1 to 16; FirstDeal when 0.
	AtOnce int
}

// Client acts as one account on one chain. It is safe for concurrent use.
type Client struct {
	*Reader
	set Config
	// pause before a keeper that did not answer is asked again.
	pause time.Duration
}

// New makes a client.
func New(set Config) *Client {
	if set.Rand == nil {
		set.Rand = rand.Reader
	}
	if set.AtOnce == 0 {
		set.AtOnce = FirstDeal
	}
	return &Client{Reader: NewReader(set.Wallet.Address(), set.Chain, set.Now), set: set, pause: 300 * time.Millisecond}
}
