package tenant

import (
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

// Labels of the seeds of one VM, before its id. Changed, they would lock tenants out of their VMs.
const (
	hostCALabel   = "hippius ssh host ca v1 "
	userDataLabel = "hippius user data v1 "
)

// meshSeed is what the account's mesh authority grows from.
func (c *Client) meshSeed() ([]byte, error) { return c.set.Wallet.Seed(mesh.AuthorityLabel) }

// hostSeed is the seed of the key that signs the SSH host certificates of one VM.
func (c *Client) hostSeed(id vm.ID) ([]byte, error) {
	return c.set.Wallet.Seed(hostCALabel + string(id))
}

// userDataKey is the key that the user data of one VM is sealed under.
func (c *Client) userDataKey(id vm.ID) ([]byte, error) {
	return c.set.Wallet.Seed(userDataLabel + string(id))
}
