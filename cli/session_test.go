package cli

import (
	"strings"
	"testing"

	"github.com/hippius/compute/core/vm"
)

// A VM is found by the start of its id where that is long enough and only one's.
func TestVMByTheStartOfItsID(t *testing.T) {
	vms := []vm.VM{{ID: "abcd1111"}, {ID: "abcd2222"}, {ID: "ef010203"}}
	for ref, want := range map[string]string{"ef01": "ef010203", "abcd1": "abcd1111", "abcd2222": "abcd2222"} {
		if v, err := byPrefix(vms, ref); err != nil || v.ID != vm.ID(want) {
			t.Errorf("%s: got %s, %v", ref, v.ID, err)
		}
	}
	for ref, words := range map[string]string{
		"abcd": `"abcd" is the start of 2 VM ids; use a longer prefix`, "ef0": `you have no VM "ef0"`, "": `you have no VM ""`,
		"1111": `you have no VM "1111"`, "ef0102030": `you have no VM`,
	} {
		if _, err := byPrefix(vms, ref); err == nil || !strings.Contains(err.Error(), words) || hint(err) == "" {
			t.Errorf("%q: %v, hint %q", ref, err, hint(err))
		}
	}
}
