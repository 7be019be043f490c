package network

import (
	"strings"
	"testing"
)

// TestHostileAttachments: what a VM or its tenant is called names no
// interface and no rule, and comes back from a tap's alias as it was.
func TestHostileAttachments(t *testing.T) {
	t.Parallel()
	n := &Network{cfg: Config{Tag: "t", Pool: DefaultConfig().Pool}}
	good := Attachment{VM: "00112233445566778899aabbccddeeff", Tenant: "hip1tenant", BitsPerSec: 1e8}
	taken := 0
	for _, s := range []string{
		"", "..", "../../x", "tap%d", "a b", "a\nb", "a\x00b", "a\tb", "\x1b[2J", "\u202egpj", "\xff", "é", "policy", "drop", "{ }", `"; flush ruleset; "`, "$(reboot)",
		"%s%s%n", "hippius/1", "1", "00112233445566778899AABBCCDDEEFF", strings.Repeat("f", 31), strings.Repeat("f", 33), strings.Repeat("a", 101), strings.Repeat("a", 100),
	} {
		for what, a := range map[string]Attachment{
			"VM":     {VM: s, Tenant: good.Tenant, BitsPerSec: good.BitsPerSec},
			"tenant": {VM: good.VM, Tenant: s, BitsPerSec: good.BitsPerSec},
		} {
			if a.validate() != nil {
				continue
			}
			taken++
			tap := n.at(Tap{VM: a.VM, Tenant: a.Tenant, BitsPerSec: a.BitsPerSec, TenantMark: 7}, 5)
			if tap.Name != n.prefix()+"000005" || !n.ours(tap.Name) {
				t.Errorf("%s %q: the tap is called %q", what, s, tap.Name)
			}
			if strings.ContainsAny(tap.alias(), "\n\x00\x1b") || len(tap.alias()) > 255 {
				t.Errorf("%s %q: alias %q", what, s, tap.alias())
			}
			if back, err := n.readTap(tap.Name, tap.alias()); err != nil || back != tap {
				t.Errorf("%s %q comes back as %+v, %v", what, s, back, err)
			}
			if what == "VM" {
				t.Errorf("%q is taken for a VM's id", s)
			}
		}
	}
	if taken == 0 {
		t.Error("all were refused: no alias was seen")
	}
}
