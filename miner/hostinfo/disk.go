package hostinfo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
)

// chunk is what is written at a time, in bytes.
const chunk = 1 << 20

// writeSpeed writes size random bytes to a file in dir, makes them durable and
// gives the bytes per second, at least 1.
func writeSpeed(ctx context.Context, dir string, size uint64) (speed uint64, err error) {
	f, err := os.CreateTemp(dir, ".speed-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	buf := make([]byte, chunk)
	if _, err := rand.Read(buf); err != nil { // zeros may never reach the disk
		return 0, fmt.Errorf("make sample: %w", err)
	}
	began := time.Now()
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(left, chunk)
		if _, err := f.Write(buf[:n]); err != nil {
			return 0, err
		}
		left -= n
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	took := max(time.Since(began), time.Microsecond)
	return max(uint64(float64(size)/took.Seconds()), 1), nil
}
