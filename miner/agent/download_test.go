package agent_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A mirror breaks off over and over, and one gives other bytes from the middle on: the VM gets the very image.
func TestDownloadBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := bytes.Repeat([]byte("image "), 100_000)
	im := &w.catalogue.images[0]
	path := strings.TrimPrefix(im.URLs[0], "file://")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	im.SHA256, im.SizeBytes = sum[:], uint64(len(data))
	var resumed atomic.Int64
	broken := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		from := 0
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 && from > 0 {
			resumed.Add(1)
			rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(data)-from))
		if from > 0 {
			rw.WriteHeader(http.StatusPartialContent)
		}
		_, _ = rw.Write(data[from:min(len(data), from+200_000)])
		if f, ok := rw.(http.Flusher); ok {
			f.Flush()
		}
		if from+200_000 < len(data) {
			panic(http.ErrAbortHandler) // the line breaks
		}
	}))
	defer broken.Close()
	wrong := bytes.Clone(data)
	copy(wrong[300_000:], "not it")
	var lied atomic.Int64
	lying := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		lied.Add(1)
		http.ServeContent(rw, r, "image", time.Time{}, bytes.NewReader(wrong))
	}))
	defer lying.Close()
	im.URLs = []string{broken.URL + "/image", broken.URL + "/image"}
	w.startAgent()
	id := w.newVM()
	w.until("running", func() bool { return w.runs(id) })
	if resumed.Load() == 0 {
		t.Error("nothing was resumed")
	}
	w.wantImage(data)

	// The same image, begun by one mirror and gone on with by one that lies: begun again, and right in the end.
	w.stopAgent()
	files, err := filepath.Glob(filepath.Join(w.dir, "images", "*.img"))
	if err != nil || len(files) != 1 {
		t.Fatalf("images %v, %v", files, err)
	}
	if err := os.Rename(files[0], strings.TrimSuffix(files[0], ".img")+".img.part"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(strings.TrimSuffix(files[0], ".img")+".img.part", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(strings.TrimSuffix(files[0], ".img")+".img.part", 250_000); err != nil {
		t.Fatal(err)
	}
	im.URLs = []string{lying.URL + "/image", "file://" + path}
	w.startAgent()
	other := w.newVM()
	w.until("running", func() bool { return w.runs(other) })
	if lied.Load() == 0 {
		t.Error("the lying mirror was not asked")
	}
	w.wantImage(data)
}

// wantImage looks that the cache holds the one image and nothing half of it.
func (w *world) wantImage(data []byte) {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "images", "*"))
	if err != nil || len(files) != 1 {
		w.t.Fatalf("in the cache: %v, %v", files, err)
	}
	got, err := os.ReadFile(files[0])
	if err != nil || !bytes.Equal(got, data) {
		w.t.Errorf("the image is another: %d bytes, %v", len(got), err)
	}
}
