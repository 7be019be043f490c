package peer

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// limitListener bounds how many connections are open at once, in all and from one host. A connection over the bound
// is closed at once rather than left waiting, so whoever holds many keeps nobody else from being told. When all are
// taken the host that holds most loses its oldest to one that holds fewer: a few hosts cannot lock out the rest.
type limitListener struct {
	net.Listener
	max, maxPerHost int
	metrics         Metrics

	mu    sync.Mutex
	open  int
	hosts map[string][]*limitedConn // oldest first
}

func newLimitListener(l net.Listener, maxConns, maxPerHost int, m Metrics) *limitListener {
	return &limitListener{Listener: l, max: maxConns, maxPerHost: maxPerHost, metrics: m, hosts: make(map[string][]*limitedConn)}
}

// Accept returns the next connection that is within the bounds.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: conn, from: l, host: hostOf(conn.RemoteAddr())}
		if l.enter(c) {
			l.metrics.Connections(1)
			return c, nil
		}
		l.metrics.Refused()
		_ = conn.Close() // refused; there is nobody to tell
	}
}

func (l *limitListener) enter(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := len(l.hosts[c.host])
	if mine >= l.maxPerHost {
		return false
	}
	if l.open >= l.max {
		most := l.most()
		if len(l.hosts[most]) <= mine+1 {
			return false
		}
		oldest := l.hosts[most][0]
		l.remove(oldest)
		_ = oldest.Conn.Close() // whoever serves it finds out, and closes it
	}
	l.open++
	l.hosts[c.host] = append(l.hosts[c.host], c)
	return true
}

// most is the host with most connections.
func (l *limitListener) most() (host string) {
	for h, conns := range l.hosts {
		if len(conns) > len(l.hosts[host]) {
			host = h
		}
	}
	return host
}

func (l *limitListener) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c)
}

// remove forgets a connection; one that was removed before changes nothing.
func (l *limitListener) remove(c *limitedConn) {
	i := slices.Index(l.hosts[c.host], c)
	if i < 0 {
		return
	}
	l.open--
	l.metrics.Connections(-1)
	if l.hosts[c.host] = slices.Delete(l.hosts[c.host], i, i+1); len(l.hosts[c.host]) == 0 {
		delete(l.hosts, c.host)
	}
}

type limitedConn struct {
	net.Conn
	from *limitListener
	host string
}

func (c *limitedConn) Close() error {
	defer c.from.leave(c)
	return c.Conn.Close()
}

// hostOf is whom a connection counts for. With IPv6 a host has a /64 at least, and may use every address of it.
func hostOf(addr net.Addr) string {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return addr.String()
	}
	ip := at.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}
