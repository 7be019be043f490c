package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hippius/compute/internal/fault"
)

// Config of a Cache.
type Config struct {
	// Dir holds the images; made if absent; one cache at a time.
	Dir string
	// MaxBytes the cache may take before Trim removes what nobody uses.
	MaxBytes uint64
	// AllowFile accepts file URLs: for networks on one host only.
	AllowFile bool
	// Client fetches; nil is one with sound timeouts.
	Client *http.Client
	// Stall is how long a download may give nothing; 0 means 1 minute.
	Stall time.Duration
	Log   *slog.Logger
}

// Cache of images.
type Cache struct {
	c Config

	mu      sync.Mutex
	flights map[string]*flight
	closed  bool
	running sync.WaitGroup
}

// flight is one download, shared by all who want the image.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int // the last to leave cancels it
	err     error
}

const (
	suffix  = ".img"
	partial = ".part"
)

// New opens the cache in c.Dir. What an earlier one left half-fetched is
// continued when it is asked for.
func New(c Config) (*Cache, error) {
	if c.Client == nil {
		t := &http.Transport{
			Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 30 * time.Second,
			TLSHandshakeTimeout: 15 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
			// A compressed answer would make ranges meaningless.
			DisableCompression: true,
		}
		c.Client = &http.Client{Transport: t}
	}
	if c.Stall <= 0 {
		c.Stall = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	return &Cache{c: c, flights: map[string]*flight{}}, nil
}

// Close ends all downloads and waits for them; they can be continued later.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel()
	}
	c.mu.Unlock()
	c.running.Wait()
}

func (c *Cache) path(sum string) string { return filepath.Join(c.c.Dir, sum+suffix) }

// Get returns the path of the image, fetching and checking it first where it
// is not here yet. It waits; with ctx it gives up, and the download with the
// last who waited for it. ErrUnavailable, ErrNoSpace, ErrChecksum.
func (c *Cache) Get(ctx context.Context, im Image) (string, error) {
	if err := im.check(); err != nil {
		return "", err
	}
	path := c.path(im.sum())
	for {
		if c.have(path, im) {
			return path, nil
		}
		f, err := c.join(im) //nolint:contextcheck // a download is all waiters', not this one's
		if err != nil {
			return "", err
		}
		select {
		case <-f.done:
			c.leave(f)
			// Another caller's context ended, not ours: try again.
			if errors.Is(f.err, context.Canceled) && ctx.Err() == nil && !c.isClosed() {
				continue
			}
			if f.err != nil {
				return "", f.err
			}
		case <-ctx.Done():
			c.leave(f)
			return "", fmt.Errorf("fetch image %s: %w", im.Name, ctx.Err())
		}
	}
}

// Has tells whether the image is here, so that Get has not to fetch it.
func (c *Cache) Has(im Image) bool {
	if im.check() != nil {
		return false
	}
	info, err := os.Stat(c.path(im.sum()))
	return err == nil && uint64(info.Size()) == im.Size
}

// have tells whether the image is here, and notes that it was wanted. A file
// gets its final name only once it was checked and is on disk.
func (c *Cache) have(path string, im Image) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	if uint64(info.Size()) != im.Size {
		c.c.Log.Error("cached image has another size, fetching it again", "image", im.Name, "bytes", info.Size())
		return os.Remove(path) != nil // if it will not go, do not loop over it
	}
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		c.c.Log.Warn("store time of use of image", "image", im.Name, "error", err)
	}
	return true
}

func (c *Cache) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// join takes part in the image's download, starting it if need be.
func (c *Cache) join(im Image) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	sum := im.sum()
	if f := c.flights[sum]; f != nil {
		f.waiters++
		return f, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{done: make(chan struct{}), cancel: cancel, waiters: 1}
	c.flights[sum] = f
	c.running.Go(func() {
		defer cancel()
		f.err = c.fetch(ctx, im)
		c.mu.Lock()
		delete(c.flights, sum)
		c.mu.Unlock()
		close(f.done)
	})
	return f, nil
}

func (c *Cache) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters == 0 {
		f.cancel()
	}
}

// Trim removes images, least lately wanted first, until the cache takes at most
// MaxBytes. It spares those that inUse tells (by SHA-256 in hex), and those
// wanted since the given time. It returns how many bytes it freed.
func (c *Cache) Trim(inUse func(sum string) bool, since time.Time) (uint64, error) {
	entries, err := os.ReadDir(c.c.Dir)
	if err != nil {
		return 0, fmt.Errorf("trim image cache: %w", err)
	}
	type file struct {
		name string
		info fs.FileInfo
	}
	var files []file
	var total uint64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		total += uint64(info.Size())
		files = append(files, file{e.Name(), info})
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.info.ModTime().UnixNano(), b.info.ModTime().UnixNano()) })
	var freed uint64
	for _, f := range files {
		if total <= c.c.MaxBytes {
			break
		}
		sum := strings.TrimSuffix(strings.TrimSuffix(f.name, partial), suffix)
		if inUse(sum) || f.info.ModTime().After(since) || c.fetching(sum) {
			continue
		}
		if err := os.Remove(filepath.Join(c.c.Dir, f.name)); err != nil {
			return freed, fmt.Errorf("trim image cache: %w", err)
		}
		total -= uint64(f.info.Size())
		freed += uint64(f.info.Size())
		c.c.Log.Info("image removed from the cache", "sha256", sum, "bytes", f.info.Size())
		if err := fault.Point("image.trimmed"); err != nil {
			return freed, err
		}
	}
	return freed, nil
}

func (c *Cache) fetching(sum string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flights[sum] != nil
}
