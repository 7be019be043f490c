package app_test

import (
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
)

// withMiner is a chain with a rich account "a" and a registered miner.
func withMiner(t *testing.T) (*apptest.Harness, apptest.Account) {
	t.Helper()
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{
		{Name: "a", Ucredit: 1000 * credit}, {Name: "b", Ucredit: 1000 * credit}, {Name: "miner", Uhip: 10_000_000_000, Ucredit: 1000 * credit},
	}})
	m := apptest.Named("miner")
	h.MustDeliver(m, &registrytypes.MsgRegisterMiner{
		Operator: m.Address, Name: "miner", Identity: make([]byte, 32), Roles: []string{"compute"}, Endpoint: "miner.example:7070",
		Region: "eu", BondUhip: 1_000_000_000,
		Capacity: registrytypes.Capacity{Cores: 4, MemoryMib: 16 << 10, DiskGib: 200, Arch: "amd64", Acceleration: "tcg", CpuModel: "test", DiskWriteBytesPerSecond: 1},
	})
	h.NextBlock(60)
	return h, m
}
