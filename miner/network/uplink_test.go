package network

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/testkit"
)

// uplinkWire sees every IPv4 packet that arrives at the far end of the uplink.
type uplinkWire struct {
	mu sync.Mutex
	to []string
}

func (w *world) watch(t *testing.T) *uplinkWire {
	t.Helper()
	seen := &uplinkWire{}
	var fd int
	testkit.Check(t, w.beyond.Do(func() (err error) {
		protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol)); err != nil {
			return err
		}
		link, err := net.InterfaceByName("downlink")
		if err != nil {
			return err
		}
		// A reader that waits in the kernel could not be ended.
		wait := unix.NsecToTimeval(50e6)
		return errors.Join(
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Index}),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		)
	}))
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1<<16)
		for ctx.Err() == nil {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil || n < 34 {
				continue
			}
			if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
				continue
			}
			to, _ := netip.AddrFromSlice(buf[30:34])
			seen.mu.Lock()
			seen.to = append(seen.to, to.String())
			seen.mu.Unlock()
		}
		_ = unix.Close(fd)
	}()
	t.Cleanup(func() {
		end()
		<-done
	})
	return seen
}

// all are the destinations seen.
func (w *uplinkWire) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.to)
}
