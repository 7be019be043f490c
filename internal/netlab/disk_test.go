package netlab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A disk that loses its power keeps what was synced and nothing else; one that
// is switched off in good order keeps all. Labs that end meanwhile change nothing.
func TestDiskLosesItsPower(t *testing.T) {
	if secluded(t) {
		return
	}
	dir := t.TempDir()
	d, err := NewDisk(t.Context(), filepath.Join(dir, "disk.img"), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	at := filepath.Join(dir, "at")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	// use lets a short-lived lab do something on the disk.
	use := func(script string) string {
		t.Helper()
		l, err := New(t.Context(), "disk-"+strings.ToLower(t.Name()[:4]), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Mount(t.Context(), l, at); err != nil {
			t.Fatal(err)
		}
		out, err := l.Command(t.Context(), "bash", "-ec", "cd "+at+"; "+script).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	use(`echo 1 > synced; sync synced; echo 2 > never; head -c 1M /dev/zero > big`)
	if err := d.Cut(); err != nil {
		t.Fatal(err)
	}
	if err := d.On(); err != nil {
		t.Fatal(err)
	}
	if got := use(`cat synced; ls`); got != "1\nlost+found\nsynced\n" {
		t.Errorf("after a power loss: %q", got)
	}
	use(`echo 3 > late`)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.On(); err != nil {
		t.Fatal(err)
	}
	if got := use(`cat late`); got != "3\n" {
		t.Errorf("after a good end: %q", got)
	}
}
