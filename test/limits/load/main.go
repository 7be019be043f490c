// Command load works a VM as hard as it can, from inside, and prints what
// it got as one number. It is how the limits of a VM are tried.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const usage = `load COMMAND:
  requests FILE SECONDS   4 KiB reads and writes at random, sixteen at once: requests a second
  stream FILE SECONDS     1 MiB reads and writes in turn: bytes a second
  spin ROUNDS             a fixed loop on one CPU: milliseconds
  memory                  takes memory until it is killed
  fill FILE               writes until there is no room: bytes
  beyond DEVICE           writes past the device's end: bytes
  console SECONDS         floods the serial console: bytes
  send ADDRESS SECONDS    sends to whoever listens there: bytes handed over
  receive ADDRESS SECONDS takes what comes from there: bytes a second
  connect ADDRESS COUNT   opens connections and keeps them: how many were made`

func main() {
	n, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	fmt.Println(n)
}

func run(args []string) (int64, error) {
	if len(args) == 1 && args[0] == "memory" {
		return takeMemory()
	}
	if len(args) == 2 {
		switch args[0] {
		case "spin":
			rounds, err := strconv.ParseUint(args[1], 10, 40)
			return spin(rounds), err
		case "fill":
			return fill(args[1])
		case "beyond":
			return beyond(args[1])
		case "console":
			period, err := seconds(args[1])
			return flood("/dev/ttyS0", period, err)
		}
	}
	if len(args) == 3 {
		period, err := seconds(args[2])
		if err != nil {
			return 0, err
		}
		switch args[0] {
		case "requests":
			return disk(args[1], period, 16, 4<<10)
		case "stream":
			n, err := disk(args[1], period, 1, 1<<20)
			return n << 20, err
		case "send":
			return talk(args[1], period, net.Conn.Write)
		case "receive":
			n, err := talk(args[1], period, net.Conn.Read)
			return int64(float64(n) / period.Seconds()), err
		case "connect":
			return connect(args[1], int(period/time.Second))
		}
	}
	return 0, errors.New(usage)
}

func seconds(text string) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return time.Duration(n) * time.Second, err
}

const (
	workFile = 16 << 20
	// settle before anything is counted: what may pass at once has passed.
	settle = time.Second
)

// disk reads and writes blocks of a file past the guest's cache, and gives how
// many it did a second.
func disk(path string, period time.Duration, atOnce, block int) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	if about, err := f.Stat(); err != nil || about.Size() < workFile {
		if _, err := f.Write(make([]byte, workFile)); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	var done, before atomic.Int64
	start := time.Now()
	var g errgroup.Group
	for worker := range atOnce {
		g.Go(func() error {
			buf, err := unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
			if err != nil {
				return err
			}
			at := uint64(worker)
			for i := 0; time.Since(start) < settle+period; i++ {
				at = at*6364136223846793005 + 1442695040888963407
				offset := int64(at>>33) % int64(workFile/block) * int64(block) //nolint:gosec // 31 bits
				if i%2 == 0 {
					_, err = unix.Pwrite(fd, buf, offset)
				} else {
					_, err = unix.Pread(fd, buf, offset)
				}
				if err != nil {
					return err
				}
				if n := done.Add(1); time.Since(start) < settle {
					before.Store(n)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return int64(float64(done.Load()-before.Load()) / period.Seconds()), nil
}

func spin(rounds uint64) int64 {
	start := time.Now()
	x := uint64(88172645463325252)
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		return -1 // it never is, which the compiler does not know
	}
	return time.Since(start).Milliseconds()
}

// takeMemory asks to be the first to be killed for it.
func takeMemory() (int64, error) {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0o600); err != nil {
		return 0, err
	}
	const step = 1 << 20
	for total := int64(0); ; total += step {
		b, err := unix.Mmap(-1, 0, step, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return total, err
		}
		for i := 0; i < step; i += 4096 {
			b[i] = byte(i>>12) | 1
		}
	}
}

func fill(path string) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 1<<20)
	for i := range buf {
		buf[i] = byte(i*7) | 1 // no holes
	}
	total := int64(0)
	for {
		n, err := f.Write(buf)
		total += int64(n)
		if errors.Is(err, unix.ENOSPC) {
			_ = f.Sync() // there may be no room for the rest
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// beyond tries every size from the device's end on.
func beyond(device string) (int64, error) {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, 2)
	if err != nil {
		return 0, err
	}
	written := int64(0)
	for offset := size; offset < size+1<<40; offset = offset*2 - size + 512 {
		n, err := f.WriteAt(make([]byte, 512), offset)
		written += int64(n)
		if err == nil {
			written += int64(n)
		}
	}
	return written, nil
}

func flood(device string, period time.Duration, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	line := make([]byte, 1024)
	for i := range line {
		line[i] = 'x'
	}
	copy(line[len(line)-2:], "\r\n")
	total := int64(0)
	for end := time.Now().Add(period); time.Now().Before(end); {
		n, err := f.Write(line)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// talk moves bytes one way until the time is over or the other side ends, and
// gives how many after the first two seconds.
func talk(address string, period time.Duration, move func(net.Conn, []byte) (int, error)) (int64, error) {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	begun := time.Now()
	if err := conn.SetDeadline(begun.Add(2*settle + period)); err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	total := int64(0)
	for {
		n, err := move(conn, buf)
		if time.Since(begun) > 2*settle {
			total += int64(n)
		}
		if err != nil {
			return total, nil // its end
		}
	}
}

// connect opens connections side by side; those that are not let through time out.
func connect(address string, count int) (int64, error) {
	var made atomic.Int64
	var g errgroup.Group
	for range count {
		g.Go(func() error {
			conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", address)
			if err != nil {
				return nil //nolint:nilerr // counted by its absence
			}
			made.Add(1)
			time.Sleep(6 * time.Second) // until all have tried
			return conn.Close()
		})
	}
	err := g.Wait()
	return made.Load(), err
}
