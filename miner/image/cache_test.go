package image_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hippius/compute/miner/image"
)

// content is a reproducible image file.
func content(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return b
}

func describe(data []byte, urls ...string) image.Image {
	sum := sha256.Sum256(data)
	return image.Image{Name: "debian-12", URLs: urls, SHA256: sum[:], Size: uint64(len(data))}
}

func open(t *testing.T, dir string) *image.Cache {
	t.Helper()
	c, err := image.New(image.Config{Dir: dir, AllowFile: true, Stall: 300 * time.Millisecond, MaxBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// mirror serves data and counts what it sent.
type mirror struct {
	data   []byte
	asked  atomic.Int64
	ranged atomic.Int64
	serve  func(m *mirror, w http.ResponseWriter, r *http.Request)
}

func (m *mirror) start(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		if r.Header.Get("Range") != "" {
			m.ranged.Add(1)
		}
		if m.serve != nil {
			m.serve(m, w, r)
			return
		}
		http.ServeContent(w, r, "image", time.Time{}, bytes.NewReader(m.data))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/image"
}

func mustGet(t *testing.T, c *image.Cache, im image.Image, want []byte) string {
	t.Helper()
	path, err := c.Get(t.Context(), im)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the cache gave another file")
	}
	return path
}

func TestGetOnce(t *testing.T) {
	t.Parallel()
	data := content(300_000)
	m := &mirror{data: data}
	c := open(t, t.TempDir())
	im := describe(data, m.start(t))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { mustGet(t, c, im, data) })
	}
	wg.Wait()
	path := mustGet(t, c, im, data)
	if n := m.asked.Load(); n != 1 {
		t.Errorf("fetched %d times, want once", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf("mode %v %v; an image must not be writable", info.Mode(), err)
	}
}

func TestGetResumes(t *testing.T) {
	t.Parallel()
	data := content(200_000)
	dir := t.TempDir()
	m := &mirror{data: data, serve: func(m *mirror, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" { // the first time the line breaks in the middle
			w.Header().Set("Content-Length", "200000")
			_, _ = w.Write(m.data[:70_000])
			return
		}
		http.ServeContent(w, r, "image", time.Time{}, bytes.NewReader(m.data))
	}}
	im := describe(data, m.start(t))
	c := open(t, dir)
	if _, err := c.Get(t.Context(), im); !errors.Is(err, image.ErrUnavailable) {
		t.Fatalf("broken line: %v, want ErrUnavailable", err)
	}
	c.Close()
	mustGet(t, open(t, dir), im, data) // also after a restart
	if m.ranged.Load() != 1 || m.asked.Load() != 2 {
		t.Errorf("%d requests, %d with a range; want 2 and 1", m.asked.Load(), m.ranged.Load())
	}
}

func TestGetResumesOverGarbage(t *testing.T) {
	t.Parallel()
	data := content(50_000)
	for name, left := range map[string][]byte{
		"another file's start": bytes.Repeat([]byte("x"), 30_000), "a longer file": bytes.Repeat([]byte("x"), 60_000),
		"all of another file": bytes.Repeat([]byte("x"), 50_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m := &mirror{data: data}
			im := describe(data, m.start(t))
			part := filepath.Join(dir, hex.EncodeToString(im.SHA256)+".img.part")
			if err := os.WriteFile(part, left, 0o644); err != nil {
				t.Fatal(err)
			}
			mustGet(t, open(t, dir), im, data)
			if _, err := os.Stat(part); err == nil {
				t.Error("the partial file is left")
			}
		})
	}
}

func TestWrongChecksumNamesBoth(t *testing.T) {
	t.Parallel()
	data, other := content(1000), bytes.Repeat([]byte("evil"), 250)
	for name, bad := range map[string][]byte{"same size": other, "shorter": other[:500], "longer": append(bytes.Clone(other), other...)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m := &mirror{data: bad}
			im := describe(data, m.start(t))
			_, err := open(t, dir).Get(t.Context(), im)
			var sum *image.ChecksumError
			if !errors.Is(err, image.ErrChecksum) || !errors.As(err, &sum) {
				t.Fatalf("got %v, want a ChecksumError", err)
			}
			got := sha256.Sum256(bad)
			if sum.Want != hex.EncodeToString(im.SHA256) || name != "longer" && sum.Got != hex.EncodeToString(got[:]) {
				t.Errorf("error names %s and %s", sum.Want, sum.Got)
			}
			if !strings.Contains(err.Error(), sum.Want) || !strings.Contains(err.Error(), sum.Got) {
				t.Errorf("%q does not name both sums", err)
			}
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range left {
				if info, err := os.Stat(path); err == nil && info.Size() > 0 {
					t.Errorf("%s is left", path)
				}
			}
		})
	}
}

func TestNextURL(t *testing.T) {
	t.Parallel()
	data := content(1000)
	bad, good := &mirror{data: []byte("no")}, &mirror{data: data}
	gone := &mirror{serve: func(_ *mirror, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }}
	im := describe(data, gone.start(t), "ftp://x/y", bad.start(t), good.start(t))
	mustGet(t, open(t, t.TempDir()), im, data)
	im.URLs = im.URLs[:1]
	_, err := open(t, t.TempDir()).Get(t.Context(), im)
	if !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want ErrUnavailable with the server's word", err)
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := &mirror{serve: func(_ *mirror, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("x"))
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}}
	im := describe(content(1000), m.start(t))
	defer close(release)
	began := time.Now()
	_, err := open(t, t.TempDir()).Get(t.Context(), im)
	if !errors.Is(err, image.ErrUnavailable) || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %s, want ErrUnavailable soon", err, time.Since(began))
	}
}

func TestNoSpace(t *testing.T) {
	t.Parallel()
	im := describe(content(10), "file:///nowhere")
	im.Size = 1 << 39
	if _, err := open(t, t.TempDir()).Get(t.Context(), im); !errors.Is(err, image.ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
}

func TestFileURL(t *testing.T) {
	t.Parallel()
	data := content(5000)
	path := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	im := describe(data, "file://"+path)
	mustGet(t, open(t, t.TempDir()), im, data)
	strict, err := image.New(image.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(strict.Close)
	if _, err := strict.Get(t.Context(), im); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("got %v, want a refusal of file URLs", err)
	}
}

// One who gives up does not take the download from another.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	data := content(1000)
	release := make(chan struct{})
	began := make(chan struct{}, 8)
	m := &mirror{data: data, serve: func(m *mirror, w http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(m.data)
	}}
	im := describe(data, m.start(t))
	c, err := image.New(image.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := c.Get(ctx, im); first <- err }()
	<-began
	second := make(chan error, 1)
	go func() { _, err := c.Get(t.Context(), im); second <- err }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the impatient got %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the patient got %v", err)
	}
}

func TestDamagedCacheIsFetchedAgain(t *testing.T) {
	t.Parallel()
	data := content(1000)
	m := &mirror{data: data}
	c := open(t, t.TempDir())
	im := describe(data, m.start(t))
	path := mustGet(t, c, im, data)
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	mustGet(t, c, im, data)
	if m.asked.Load() != 2 {
		t.Errorf("asked %d times, want 2", m.asked.Load())
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir())
	var sums, paths []string
	for i := range 3 {
		data := content(1000 + i)
		im := describe(data, (&mirror{data: data}).start(t))
		paths = append(paths, mustGet(t, c, im, data))
		sums = append(sums, hex.EncodeToString(im.SHA256))
		when := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(paths[i], when, when); err != nil {
			t.Fatal(err)
		}
	}
	freed, err := c.Trim(func(sum string) bool { return sum == sums[0] }, time.Now().Add(-8*time.Hour-30*time.Minute))
	if err != nil || freed != 1001 {
		t.Errorf("freed %d, %v; want 1001", freed, err)
	}
	for i, want := range []bool{true, false, true} { // in use, old, wanted lately
		if _, err := os.Stat(paths[i]); (err == nil) != want {
			t.Errorf("image %d is here: %v, want %v", i, err == nil, want)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	c := open(t, t.TempDir())
	c.Close()
	if _, err := c.Get(t.Context(), describe(content(1), "file:///x")); !errors.Is(err, image.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := c.Get(t.Context(), image.Image{}); err == nil {
		t.Error("an image without a checksum is accepted")
	}
}
