package leftover

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestWhatIsLeftIsSeen(t *testing.T) {
	before, err := Take(t.Context(), "sleep")
	if err != nil {
		t.Fatal(err)
	}
	sleep := exec.CommandContext(t.Context(), "sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	want := []string{"process sleep " + strconv.Itoa(sleep.Process.Pid)}
	if os.Geteuid() == 0 {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "hip-left0"
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "hip-left1"}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
		want = append(want, "interface hip-left0", "interface hip-left1")
		defer netlink.LinkDel(pair) //nolint:errcheck // gone already when the test passes
	}
	after, err := Take(t.Context(), "sleep")
	if err != nil {
		t.Fatal(err)
	}
	left := after.Since(before)
	for _, w := range want {
		if !slices.Contains(left, w) {
			t.Errorf("%q is left and not seen in %q", w, left)
		}
	}
	if err := sleep.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = sleep.Wait() // killed
	if os.Geteuid() == 0 {
		link, err := netlink.LinkByName("hip-left0")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(link); err != nil {
			t.Fatal(err)
		}
	}
	end, err := Take(t.Context(), "sleep")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if slices.Contains(end.Since(before), w) {
			t.Errorf("%q has gone and is still seen", w)
		}
	}
}
