package client

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/core/credit"
)

// The fee is for the limit, so a limit is near what is taken: the texts of the command line say less than a cent.
func TestGasFor(t *testing.T) {
	instances := make([]*computev1.Instance, 8)
	for i := range instances {
		instances[i] = &computev1.Instance{Receipts: make([]*computev1.KeeperReceipt, 3)}
	}
	fees := credit.Fees{Base: 100, PerMillionGas: 24_000, PerKiB: 1000}
	for _, c := range []struct {
		msgs        []proto.Message
		bytes, most uint64 // most ucredit
		gas         uint64
	}{
		{[]proto.Message{&creditsv1.MsgBuy{}}, 423, credit.PerCredit / 100, baseGas},
		{[]proto.Message{&computev1.MsgAddSSHKey{}}, 339, credit.PerCredit / 200, lightGas},
		{[]proto.Message{&meshv1.MsgRegisterTenant{}, &computev1.MsgAddSSHKey{}}, 471, credit.PerCredit / 50, baseGas + gasPerMore},
		{[]proto.Message{&computev1.MsgCreateVM{Instances: instances}}, 6000, credit.PerCredit / 20, baseGas + 8*gasPerInstance + 24*gasPerReceipt},
	} {
		gas := gasFor(c.msgs)
		require.Equal(t, c.gas, gas)
		fee, err := fees.Of(gas, c.bytes)
		require.NoError(t, err)
		require.LessOrEqual(t, fee, c.most, "%T", c.msgs[0])
	}
}
