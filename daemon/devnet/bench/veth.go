package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/hippius/compute/internal/netlab"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/nebula"
)

// A cable between two network namespaces, and a mesh of two members over it,
// each a process with a tun as inside a VM, but at the host's own speed.
var (
	vethA, vethB = netip.MustParsePrefix("10.78.0.1/30"), netip.MustParsePrefix("10.78.0.2/30") //nolint:gochecknoglobals // constants
	meshNet      = netip.MustParsePrefix("100.64.0.0/26")                                       //nolint:gochecknoglobals // a constant
	meshA, meshB = netip.MustParseAddr("100.64.0.2"), netip.MustParseAddr("100.64.0.3")         //nolint:gochecknoglobals // constants
	meshHouse    = netip.MustParseAddr("100.127.0.1")                                           //nolint:gochecknoglobals // a constant
)

const (
	housePort    = 4240
	meshUpWithin = 30 * time.Second
	vethPeriod   = 3 * time.Second
)

// meshOverVeth measures TCP over the mesh beside TCP on the cable it runs on.
func meshOverVeth(ctx context.Context, o Options, _ *bareVM) (err error) {
	a, err := netlab.New(ctx, o.Tag+"-va", netlab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := netlab.New(ctx, o.Tag+"-vb", netlab.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := netlab.Connect(netlab.End{Lab: a, Name: "cable", Addr: vethA}, netlab.End{Lab: b, Name: "cable", Addr: vethB}); err != nil {
		return err
	}
	house, err := joinMesh(ctx, o, a, b)
	if house != nil {
		defer func() { err = errors.Join(err, house.Close()) }()
	}
	if err != nil {
		return fmt.Errorf("mesh over a cable: %w", err)
	}
	var ratios, mesh, plain []float64
	for range min(o.Runs, 3) {
		m, err := tcpRate(ctx, a, b, meshB)
		if err != nil {
			return fmt.Errorf("TCP over the mesh: %w", err)
		}
		p, err := tcpRate(ctx, a, b, vethB.Addr())
		if err != nil {
			return fmt.Errorf("TCP on the cable: %w", err)
		}
		ratios, mesh, plain = append(ratios, m/p), append(mesh, m*8/1e6), append(plain, p*8/1e6)
	}
	o.print("mesh_throughput_over_veth", median(ratios), "ratio")
	o.print("mesh_throughput", median(mesh), "Mbit/s")
	o.print("veth_throughput", median(plain), "Mbit/s")
	return nil
}

// joinMesh starts a lighthouse in b and a member in each, and waits until they meet.
func joinMesh(ctx context.Context, o Options, a, b *netlab.Lab) (house *nebula.Node, err error) {
	now := time.Now()
	until := now.Add(24 * time.Hour)
	seed := func() []byte {
		s := make([]byte, ca.SeedSize)
		_, _ = rand.Read(s) // never fails
		return s
	}
	tenant, err := ca.NewTenant(seed(), []netip.Prefix{meshNet}, "tenant", now.Add(-ca.Backdate), until)
	if err != nil {
		return nil, err
	}
	operator, err := ca.NewLighthouse(seed(), meshHouse, "house", now.Add(-ca.Backdate), until)
	if err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(vethB.Addr(), housePort)
	c, err := member(operator, meshHouse)
	if err != nil {
		return nil, err
	}
	c.Mode, c.SelfCA, c.CAs = nebula.ModeNone, operator.Certificate().PEM(), [][]byte{tenant.Certificate().PEM()}
	c.AmLighthouse, c.Listen, c.Firewall = true, at, nebula.Firewall{}
	err = b.Do(func() error {
		house, err = nebula.Start(context.WithoutCancel(ctx), c, slog.New(slog.DiscardHandler))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, m := range []struct {
		lab  *netlab.Lab
		addr netip.Addr
	}{{a, meshA}, {b, meshB}} {
		c, err := member(tenant, m.addr)
		if err != nil {
			return house, err
		}
		c.Mode, c.TunName, c.CAs, c.Listen = nebula.ModeTun, "mesh0", [][]byte{tenant.Certificate().PEM()}, netip.AddrPortFrom(netip.IPv4Unspecified(), 4242)
		c.Lighthouses = []nebula.Lighthouse{{Addr: meshHouse, Underlay: []netip.AddrPort{at}, CA: operator.Certificate().PEM()}}
		if err := startMember(ctx, o, m.lab, c); err != nil {
			return house, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, meshUpWithin)
	defer cancel()
	for {
		if _, err = tcpRateFor(ctx, a, b, meshB, time.Millisecond); err == nil || ctx.Err() != nil {
			return house, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func member(by *ca.Authority, addr netip.Addr) (nebula.Config, error) {
	public, private, err := cert.NewHostKey()
	if err != nil {
		return nebula.Config{}, err
	}
	issued, err := by.Issue(ca.Host{Name: "bench", Addr: addr, PublicKey: public, Validity: time.Hour}, time.Now())
	if err != nil {
		return nebula.Config{}, err
	}
	return nebula.Config{Cert: issued.PEM(), Key: cert.HostKeyPEM(private), Firewall: nebula.AllowAll()}, nil
}

// startMember runs a member as a process of its own, which ends with the lab.
func startMember(ctx context.Context, o Options, lab *netlab.Lab, c nebula.Config) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	file := filepath.Join(o.Net.Dir(), lab.Name()+".json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return lab.Command(context.WithoutCancel(ctx), o.Self, "mesh-node", file).Start()
}

// MeshNode is a member of a mesh as a file describes it, until ctx ends.
func MeshNode(ctx context.Context, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var c nebula.Config
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("mesh node of %s: %w", file, err)
	}
	n, err := nebula.Start(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	<-ctx.Done()
	return n.Close()
}

func tcpRate(ctx context.Context, from, to *netlab.Lab, addr netip.Addr) (float64, error) {
	return tcpRateFor(ctx, from, to, addr, vethPeriod)
}

// tcpRateFor sends for a while, and gives the bytes a second that arrived.
func tcpRateFor(ctx context.Context, from, to *netlab.Lab, addr netip.Addr, period time.Duration) (rate float64, err error) {
	var l net.Listener
	err = to.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	got := make(chan int64, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- 0
			return
		}
		n, _ := io.Copy(io.Discard, conn) // its end is the sender's
		got <- n
		_ = conn.Close()
	}()
	var conn net.Conn
	err = from.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", l.Addr().String())
		return err
	})
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := conn.SetWriteDeadline(begun.Add(period)); err != nil {
		return 0, errors.Join(err, conn.Close())
	}
	for buf := make([]byte, 256<<10); err == nil; {
		_, err = conn.Write(buf)
	}
	if err = conn.Close(); err != nil {
		return 0, err
	}
	n := <-got
	return float64(n) / time.Since(begun).Seconds(), nil
}
