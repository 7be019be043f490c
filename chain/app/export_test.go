package app_test

import (
	"bytes"
	"testing"

	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/hippius/compute/chain/app/apptest"
)

// upgraded is a chain that made the upgrade it knows.
func upgraded(t *testing.T) (h *apptest.Harness, made upgradetypes.Plan) {
	t.Helper()
	h = apptest.New(t, apptest.Options{})
	made = upgradetypes.Plan{Name: apptest.Upgrade, Height: h.Height() + 1}
	if err := h.App.Keepers.Upgrade.ScheduleUpgrade(h.Ctx(), made); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	return h, made
}

// An upgrade that was decided on, and those that were made, are part of an export.
func TestExportKeepsUpgrades(t *testing.T) {
	h, made := upgraded(t)
	planned := upgradetypes.Plan{Name: "next", Height: h.Height() + 100, Info: "install v2"}
	if err := h.App.Keepers.Upgrade.ScheduleUpgrade(h.Ctx(), planned); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1)
	fork, exported := h.Fork()
	if imported := fork.Imported(); !bytes.Equal(exported, imported) {
		t.Errorf("exported are %d bytes, and of what was imported %d", len(exported), len(imported))
	}
	fork.NextBlock(1)
	k := fork.App.Keepers.Upgrade
	if p, err := k.GetUpgradePlan(fork.Ctx()); err != nil || p.Name != planned.Name || p.Height != planned.Height || p.Info != planned.Info {
		t.Errorf("planned is %+v, %v; want %+v", p, err, planned)
	}
	if name, height, err := k.GetLastCompletedUpgrade(fork.Ctx()); err != nil || name != made.Name || height != made.Height {
		t.Errorf("made was %q at %d, %v; want %+v", name, height, err, made)
	}
	if got, want := fork.App.AppVersion(), h.App.AppVersion(); got != want {
		t.Errorf("the chain that goes on has version %d, the first %d", got, want)
	}
	if err := k.ScheduleUpgrade(fork.Ctx(), upgradetypes.Plan{Name: made.Name, Height: fork.Height() + 9}); err == nil {
		t.Error("the chain that goes on would make an upgrade twice")
	}
}
