package guest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/kdomanski/iso9660"

	wire "github.com/hippius/compute/core/guest"
)

// FuzzMedium: whatever the host puts on the medium, the agent reads a file of
// bounded size from it, or says why not.
func FuzzMedium(f *testing.F) {
	w, err := iso9660.NewWriter()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := w.Cleanup(); err != nil {
			f.Error(err)
		}
	})
	if err := w.AddFile(bytes.NewReader([]byte(`{"version":1}`)), wire.ConfigFile); err != nil {
		f.Fatal(err)
	}
	var good bytes.Buffer
	if err := w.WriteTo(&good, wire.SeedLabel); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:40_000])
	f.Add([]byte("no ISO"))
	path := filepath.Join(f.TempDir(), "medium")
	f.Fuzz(func(t *testing.T, medium []byte) {
		if err := os.WriteFile(path, medium, 0o600); err != nil {
			t.Fatal(err)
		}
		if label, err := mediumLabel(path); err == nil && len(label) > labelSize {
			t.Errorf("a label of %d bytes", len(label))
		}
		data, err := readMediumFile(path, wire.ConfigFile)
		if err == nil && len(data) > wire.MaxConfig {
			t.Errorf("%d bytes were read", len(data))
		}
	})
}
