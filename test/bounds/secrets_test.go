package bounds

import (
	"testing"

	"google.golang.org/protobuf/proto"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/sentinel"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
	"github.com/hippius/compute/sentinel/keeper"
)

// What tenants deal and the chain lets them deal is respected by keepers.
func TestSecrets(t *testing.T) {
	largest := &keeperv1.DealtInstance{
		Seq: vm.MaxInstances, SealedShares: make([]byte, committee.MaxShares*secretshare.ShareSize+sealbox.Overhead),
		Commitment:   make([]byte, 32*committee.Threshold(committee.MaxShares)),
		SealedBundle: make([]byte, instance.MaxSealedBundle),
	}
	part := len(largest.SealedShares) + len(largest.Commitment) + len(largest.SealedBundle)
	deal := &keeperv1.DealRequest{
		Grant: &grantv1.Grant{}, Owner: address(), Nonce: make([]byte, vm.NonceSize), CommitteeEpoch: 1 << 63,
		Instances: many(instance.MaxDealt, largest), SealedUserData: make([]byte, instance.MaxSealedUserData),
	}
	release := &keeperv1.ReleaseResponse{
		Shares: largest.SealedShares, Commitment: largest.Commitment, SealedBundle: largest.SealedBundle, SealedUserData: deal.SealedUserData,
	}
	limits := keeper.DefaultLimits()
	check(t, []pair{
		{"the shares of a committee", committee.MaxShares, secretshare.MaxShares},
		{"the largest deal in a message to a keeper", proto.Size(deal) + 4<<10, sentinel.MaxDeal},
		{"the largest release in a message from a keeper", proto.Size(release), 4 << 20}, // gRPC's own bound of an answer
		{"the largest deal at a keeper", len(deal.SealedUserData) + instance.MaxDealt*part, limits.VMBytes},
		{"the instances of a VM that the chain lets be dealt ahead, and the present one, at a keeper", len(deal.SealedUserData) + (computekeeper.MaxAhead+1)*part, limits.VMBytes},
		{"VMs of one owner not on chain yet", limits.PendingPerOwner, limits.Pending},
	})
}
