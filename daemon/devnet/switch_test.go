package devnet

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hippius/compute/internal/netlab"
)

func TestSwitchJoinsHostAndMiners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root; runs where tests run as root")
	}
	e, err := newEthernet(t.Context(), "dnt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}()
	var addrs []netip.Addr
	var labs []*netlab.Lab
	for i, name := range []string{"dnt-a", "dnt-b"} {
		lab, err := netlab.New(t.Context(), name, netlab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer lab.Close() //nolint:errcheck // a test's end
		a, err := e.plugMiner(lab, i)
		if err != nil {
			t.Fatal(err)
		}
		addrs, labs = append(addrs, a), append(labs, lab)
	}
	listeners := make([]net.Listener, 2)
	listen := func(addr netip.Addr) (l net.Listener, err error) {
		var lc net.ListenConfig
		return lc.Listen(t.Context(), "tcp", netip.AddrPortFrom(addr, 0).String())
	}
	if err := labs[1].Do(func() (err error) { listeners[0], err = listen(addrs[1]); return err }); err != nil {
		t.Fatal(err)
	}
	var lerr error
	if listeners[1], lerr = listen(e.host); lerr != nil {
		t.Fatal(lerr)
	}
	for _, l := range listeners {
		defer l.Close() //nolint:errcheck // a test's end
		err := labs[0].Do(func() error {
			d := net.Dialer{Timeout: 3 * time.Second}
			conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if err != nil {
			t.Errorf("miner 0 to %s: %v", l.Addr(), err)
		}
	}
}
