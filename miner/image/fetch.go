package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/fault"
)

// fetch puts the image in place, trying its URLs in order.
func (c *Cache) fetch(ctx context.Context, im Image) error {
	if err := c.room(im); err != nil {
		return err
	}
	var errs []error
	for _, u := range im.URLs {
		began := time.Now()
		err := c.fetchFrom(ctx, im, u)
		if err == nil {
			c.c.Log.Info("image fetched", "image", im.Name, "url", u, "bytes", im.Size, "took_ms", time.Since(began).Milliseconds())
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrNoSpace) {
			// Another URL needs the same room, and a part helps nobody.
			return errors.Join(err, os.Remove(c.path(im.sum())+partial))
		}
		c.c.Log.Warn("fetch image", "image", im.Name, "url", u, "error", err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// room fails if the image cannot fit beside what is free.
func (c *Cache) room(im Image) error {
	var s unix.Statfs_t
	if err := unix.Statfs(c.c.Dir, &s); err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	free := s.Bavail * uint64(max(s.Bsize, 0))
	if info, err := os.Stat(c.path(im.sum()) + partial); err == nil {
		free += uint64(info.Size())
	}
	if free < im.Size {
		return fmt.Errorf("image %s needs %d bytes and %d are free: %w", im.Name, im.Size, free, ErrNoSpace)
	}
	return nil
}

// fetchFrom continues or starts the download from one URL, checks it and gives
// it its name. A continued download that turns out wrong is made anew: the
// first part may have been another URL's.
func (c *Cache) fetchFrom(ctx context.Context, im Image, from string) error {
	continued, err := c.download(ctx, im, from)
	if continued && errors.Is(err, ErrChecksum) {
		_, err = c.download(ctx, im, from)
	}
	return err
}

func (c *Cache) download(ctx context.Context, im Image, from string) (continued bool, err error) {
	path := c.path(im.sum()) + partial
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, space(im, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	h := sha256.New()
	have, err := io.Copy(h, f)
	if err != nil {
		return false, fmt.Errorf("read what there is of image %s: %w", im.Name, err)
	}
	if uint64(have) > im.Size {
		have, h = 0, sha256.New()
	}
	continued = have > 0
	if uint64(have) < im.Size {
		if err := c.continueAt(ctx, im, from, f, h, have); err != nil {
			return continued, err
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != im.sum() {
		return continued, errors.Join(&ChecksumError{Name: im.Name, Want: im.sum(), Got: got}, os.Remove(path))
	}
	if err := fault.Point("image.checked"); err != nil {
		return continued, err
	}
	return continued, c.publish(f, path)
}

// continueAt writes what is missing to f and into h.
func (c *Cache) continueAt(ctx context.Context, im Image, from string, f *os.File, h hash.Hash, have int64) error {
	body, at, err := c.open(ctx, im, from, have)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if at != have {
		h.Reset()
	}
	if err := f.Truncate(at); err != nil {
		return fmt.Errorf("image %s: %w", im.Name, err)
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("image %s: %w", im.Name, err)
	}
	// One byte more than there should be tells that there is too much.
	limit := int64(im.Size) - at + 1
	n, err := io.Copy(io.MultiWriter(f, h, part{}), io.LimitReader(body, limit))
	if err != nil {
		return space(im, fmt.Errorf("fetch image %s from %s: %w: %w", im.Name, from, ErrUnavailable, err))
	}
	if n == limit {
		// Not the image, whatever else it is: name the sum of what came so far.
		return errors.Join(
			&ChecksumError{Name: im.Name, Want: im.sum(), Got: hex.EncodeToString(h.Sum(nil)) + " (of its first bytes: it is too long)"},
			f.Truncate(0))
	}
	return nil // too little shows in the checksum
}

// part is a fault point at each piece of a download.
type part struct{}

func (part) Write(p []byte) (int, error) { return len(p), fault.Point("image.writing") }

// open gives the URL's content from some offset on, which is have or 0.
func (c *Cache) open(ctx context.Context, im Image, from string, have int64) (io.ReadCloser, int64, error) {
	bad := func(err error) (io.ReadCloser, int64, error) {
		return nil, 0, fmt.Errorf("fetch image %s from %s: %w: %w", im.Name, from, ErrUnavailable, err)
	}
	u, err := url.Parse(from)
	if err != nil {
		return bad(err)
	}
	switch u.Scheme {
	case "file":
		if !c.c.AllowFile {
			return bad(errors.New("this miner takes no images from its own disk"))
		}
		f, err := os.Open(u.Path)
		if err != nil {
			return bad(err)
		}
		return f, 0, nil
	case "http", "https":
	default:
		return bad(fmt.Errorf("scheme %q is unknown", u.Scheme))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newWatchdog(c.c.Stall, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		watch.stop()
		return bad(err)
	}
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := c.c.Client.Do(req) //nolint:bodyclose // closed by the watched body
	if err != nil {
		watch.stop()
		return bad(err)
	}
	body := &watched{ReadCloser: resp.Body, watch: watch}
	switch {
	case resp.StatusCode == http.StatusOK:
		return body, 0, nil
	case resp.StatusCode == http.StatusPartialContent && have > 0:
		var first int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &first); err == nil && first == have {
			return body, have, nil
		}
	}
	_ = body.Close()
	return bad(fmt.Errorf("the server says %s", resp.Status))
}

// publish makes a checked file durable and gives it its name.
func (c *Cache) publish(f *os.File, path string) error {
	if err := f.Chmod(0o444); err != nil {
		return fmt.Errorf("publish image: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("publish image: %w", err)
	}
	if err := fault.Point("image.synced"); err != nil {
		return err
	}
	if err := os.Rename(path, path[:len(path)-len(partial)]); err != nil {
		return fmt.Errorf("publish image: %w", err)
	}
	if err := fault.Point("image.named"); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("publish image: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func space(im Image, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("image %s: %w", im.Name, ErrNoSpace)
	}
	return err
}
