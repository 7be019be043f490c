package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/internal/testkit"
)

type earningsView struct {
	Accrued uint64 `json:"accrued_uhip"`
	Claimed uint64 `json:"claimed_uhip"`
	Served  uint64 `json:"served_ucredit"`
	Account uint64 `json:"account_uhip"`
	Bond    uint64 `json:"bond_uhip"`
}

// An operator is paid for the VM it served, to the last unit, and leaves with its bond when the VM is gone. Nothing
// bonds anew by itself; a miner started after that does.
func TestMinerIsPaidAndLeaves(t *testing.T) {
	n := fakeNetwork(t, func(c *devnet.Config) { c.Miners, c.BondWait = 1, 3*time.Second })
	u := newTenant(t, n)
	u.ok("billing", "buy", "20")
	u.ok("key", "add", "laptop", u.publicKey())
	u.ok("vm", "create", "web-1", "--plan", "spark", "--image", "tiny", "--wait", "--timeout", "60s")

	do := func(name string, args ...string) string {
		t.Helper()
		var out buffer
		if err := operate(t.Context(), n, &out, name, args...); err != nil {
			t.Fatalf("%s: %v, %s", name, err, out.String())
		}
		return out.String()
	}
	money := func() (v earningsView) {
		t.Helper()
		if err := json.Unmarshal([]byte(do("earnings", "-o", "json")), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	refused := func(words string, args ...string) {
		t.Helper()
		if err := operate(t.Context(), n, &buffer{}, "unbond", args...); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("unbond %v: %v, want %q", args, err, words)
		}
	}
	refused("1 VM is left", "--yes")
	u.ok("vm", "rm", "web-1", "--yes", "--wait", "--timeout", "60s")

	before := money()
	if before.Accrued == 0 || before.Claimed != 0 || before.Served == 0 {
		t.Fatalf("after a VM was served: %+v", before)
	}
	if said := do("claim"); !strings.HasPrefix(said, fmt.Sprintf("%d uhip were paid to hip1", before.Accrued)) {
		t.Errorf("it says %s", said)
	}
	if got, want := money(), (earningsView{Claimed: before.Accrued, Served: before.Served, Account: before.Account + before.Accrued, Bond: before.Bond}); got != want {
		t.Errorf("after the payout %+v, want %+v", got, want)
	}
	if said := do("claim"); said != "nothing has accrued since the last payout\n" {
		t.Errorf("it says %s", said)
	}

	refused("add --yes to do it")
	if said := do("unbond", "--yes"); !strings.Contains(said, fmt.Sprintf("its %d uhip come back after", before.Bond)) {
		t.Errorf("it says %s", said)
	}
	testkit.Eventually(t, time.Minute, func() error {
		if said := do("unbond"); said != "miner0 has left, and its bond is back\n" {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
	has := before.Account + before.Accrued + before.Bond
	if got := money(); got.Account != has || got.Bond != 0 {
		t.Errorf("after it left: %+v, want %d uhip in the account", got, has)
	}
	if err := n.Restart(t.Context(), "miner0"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		if got := money(); got.Account+got.Bond != has || got.Bond != before.Bond {
			return fmt.Errorf("after it came again: %+v", got)
		}
		return nil
	})
}
