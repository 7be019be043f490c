package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// poll is how often everything is verified without cause.
	poll = 2 * time.Second
	// reread is how often rules are compared although their generation says that nobody has changed any.
	reread = 30 * time.Second
	// leisure is how many times as long as the last verification took the next one waits, however often rules change; at
	// most a poll.
	leisure = 20
	// settling is how long a defect that lets nothing pass may last: libvirt makes some when it opens a tap, and Ensure
	// is called after that.
	settling = 1500 * time.Millisecond
	// unreadable is how many verifications in a row may fail before the taps are taken down.
	unreadable = 3
)

type counters struct {
	repairs  atomic.Uint64
	blocked  atomic.Int64
	verified atomic.Int64 // in nanoseconds since 1970
}

// Stats tells of the verifications since New.
type Stats struct {
	// Repairs were made: times that something differed from the configuration and was repaired.
	Repairs uint64
	// Verified is when everything was last found or made as it should be.
	Verified time.Time
	// Blocked is how many chains of other programs cut VMs off, for all that Guard adds to them; see Blocked.
	Blocked int
}

// Stats never blocks.
func (n *Network) Stats() Stats {
	s := Stats{Repairs: n.stats.repairs.Load(), Blocked: int(n.stats.blocked.Load())}
	if at := n.stats.verified.Load(); at != 0 {
		s.Verified = time.Unix(0, at)
	}
	return s
}

// Guard verifies everything that New and Ensure set, every two seconds and whenever nftables rules or interfaces change,
// and repairs what others have changed. While rules are missing or altered the taps concerned are down; so are all taps
// if the state cannot be read three times in a row. It blocks until ctx ends and then returns nil, or an error if it
// cannot start.
func (n *Network) Guard(ctx context.Context) error {
	changed, stop, err := watchChanges()
	if err != nil {
		return err
	}
	defer stop()
	last := ""
	for {
		began := time.Now()
		settled, err := n.guardOnce(ctx, began)
		switch {
		case err == nil:
			last = ""
		case ctx.Err() == nil && err.Error() != last:
			last = err.Error()
			n.log.Error("verify network", "error", err)
		}
		if !sleep(ctx, min(poll, leisure*time.Since(began))) {
			return nil
		}
		wait := poll
		if !settled {
			wait = settling
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(wait):
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// guardOnce verifies and repairs everything. It is not settled if there are defects that may settle by themselves, or
// it failed.
func (n *Network) guardOnce(ctx context.Context, now time.Time) (settled bool, err error) {
	if err := n.mu.within(ctx); err != nil {
		return false, err
	}
	defer n.mu.Unlock()
	if n.torn {
		return true, nil
	}
	noticed := make(map[defect]time.Time)
	_, err = n.restore(ctx, func(d defect) bool {
		since, ok := n.noticed[d]
		if !ok {
			since = now
		}
		noticed[d] = since
		return now.Sub(since) < settling
	})
	n.noticed = noticed
	n.passOthers()
	return err == nil && len(noticed) == 0, err
}

// closeAll takes all taps down. The next verification that succeeds takes them up again. n.mu is held.
func (n *Network) closeAll() error {
	var all []attached
	for _, t := range n.known {
		if link, err := netlink.LinkByName(t.Name); err == nil {
			all = append(all, attached{t, link})
		}
	}
	n.log.Error("the state of the network cannot be read: taking all taps down", "taps", len(all))
	return n.close(all)
}

// watchChanges tells when nftables rules or interfaces of this network namespace change. A message may stand for many
// changes. stop ends it and waits for that.
func watchChanges() (changed <-chan struct{}, stop func(), err error) {
	poke := make(chan struct{}, 1)
	done := make(chan struct{})
	var files []*os.File
	stop = func() {
		for _, f := range files {
			_ = f.Close()
			<-done
		}
	}
	for _, s := range []struct {
		name     string
		protocol int
		group    uint32
	}{
		{"nftables", unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES},
		{"interfaces", unix.NETLINK_ROUTE, unix.RTNLGRP_LINK},
	} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, s.protocol)
		if err == nil {
			if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (s.group - 1)}); err != nil {
				_ = unix.Close(fd)
			}
		}
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("listen to changes of %s: %w", s.name, err)
		}
		f := os.NewFile(uintptr(fd), s.name)
		files = append(files, f)
		go func() {
			defer func() { done <- struct{}{} }()
			for buf := make([]byte, 1<<13); ; {
				// More than the kernel could keep for us is an error, too, and a change.
				if _, err := f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
					return
				}
				select {
				case poke <- struct{}{}:
				default:
				}
			}
		}()
	}
	return poke, stop, nil
}
