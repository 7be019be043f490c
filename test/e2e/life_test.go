package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/hippius/compute/daemon/devnet/demo"
)

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// A VM's whole life on simulated hosts, everything else real, and the bill to the unit.
func TestLifeOfAVM(t *testing.T) {
	n := fakeNetwork(t, nil)
	u := newTenant(t, n)
	u.refused("billing buy", "vm", "create", "web-1", "--plan", "spark", "--image", "debian-12")
	u.ok("billing", "buy", "20")
	u.refused("no SSH key", "vm", "create", "web-1", "--plan", "spark", "--image", "debian-12")
	u.ok("key", "add", "laptop", u.publicKey())
	u.ok("vm", "create", "web-1", "--plan", "spark", "--image", "debian-12", "--app", "nginx", "--wait", "--timeout", "60s")

	var before, after demo.VM
	u.read(&before, "vm", "show", "web-1")
	if before.Phase != "running" {
		t.Fatalf("phase %q after --wait", before.Phase)
	}
	checkMetrics(t, n)
	u.ok("vm", "reboot", "web-1", "--wait", "--timeout", "60s")
	u.ok("vm", "stop", "web-1", "--wait", "--timeout", "60s")
	u.refused("stopped", "ssh", "web-1")
	u.ok("vm", "start", "web-1", "--wait", "--timeout", "60s")
	u.ok("vm", "rename", "web-1", "web-2")
	u.read(&after, "vm", "show", "web-2")
	if after.ID != before.ID || after.MeshAddress != before.MeshAddress {
		t.Errorf("the VM was %+v and is %+v", before, after)
	}
	u.ok("vm", "rm", "web-2", "--yes", "--wait", "--timeout", "60s")
	u.refused("no VM", "vm", "show", "web-2")

	var vms []demo.VM
	var bill demo.Billing
	u.read(&vms, "vm", "ls", "--all")
	u.read(&bill, "billing")
	if len(vms) != 1 || vms[0].RunningSeconds == 0 {
		t.Fatalf("VMs %+v; want one that ran", vms)
	}
	owed := vms[0].Units() / 3600
	if bill.Consumed+bill.Accrued != owed || bill.Rate != 0 {
		t.Errorf("bill %+v; owed are %d for %+v", bill, owed, vms[0])
	}
	if _, err := n.Audit(t.Context()); err != nil {
		t.Error(err)
	}
}
