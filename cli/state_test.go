package cli

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/hippius/compute/tenant"
)

func TestStateFiles(t *testing.T) {
	d := newDesk(t)
	if _, err := d.readDevice(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	// Also where a file with a wider mode was before.
	if err := os.WriteFile(d.path(deviceFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	want := tenant.Device{Name: "device-a", Key: "secret"}
	if err := d.writeDevice(want); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.path(deviceFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got, err := d.readDevice(); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDamagedAndOpenStateFilesAreRefused(t *testing.T) {
	d := newDesk(t)
	for content, words := range map[string]string{
		"{\"name\":": "is damaged", "[]": "is damaged", "": "is damaged", strings.Repeat(" ", 65<<10): "more than",
	} {
		if err := os.WriteFile(d.path(deviceFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := d.readDevice()
		if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), d.path(deviceFile)) {
			t.Errorf("%.20q: %v", content, err)
		}
	}
	if err := os.Chmod(d.path(deviceFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := d.readDevice(); err == nil || !strings.Contains(err.Error(), "others can read it") {
		t.Errorf("open to the group: %v", err)
	}
}

func TestHomeOpenToOthersIsRefused(t *testing.T) {
	d := newDesk(t)
	if err := os.Chmod(d.env.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	err := d.writeDevice(tenant.Device{})
	if err == nil || !strings.Contains(err.Error(), "open to others (mode 0755)") || !strings.Contains(hint(err), "chmod 700 ") {
		t.Errorf("%v, hint %q", err, hint(err))
	}
}

// A relative home folder is the same one for programs started elsewhere.
func TestHomeIsMadeAbsolute(t *testing.T) {
	d := newDesk(t)
	t.Chdir(d.dir)
	root := New(d.env)
	root.SetArgs([]string{"completion", "bash", "--home", "home"})
	root.SetOut(&d.out)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	if got := root.PersistentFlags().Lookup("home").Value.String(); got != d.env.Home {
		t.Errorf("home is %q, want %q", got, d.env.Home)
	}
}
