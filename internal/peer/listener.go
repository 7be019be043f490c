package peer

import (
	"net"
	"sync"
)

// limitListener bounds how many connections are open at once, in all and from one host. A connection over the bound
// is closed at once rather than left waiting, so whoever holds many keeps nobody else from being told. When all are
// taken the network that holds most loses its oldest to one that holds fewer: a few cannot lock out the rest.
type limitListener struct {
	net.Listener
	max, maxPerHost int
	metrics         Metrics

	mu   sync.Mutex
	open *shares[*limitedConn]
}

func newLimitListener(l net.Listener, maxConns, maxPerHost int, m Metrics) *limitListener {
	return &limitListener{Listener: l, max: maxConns, maxPerHost: maxPerHost, metrics: m, open: newShares[*limitedConn]()}
}

// Accept returns the next connection that is within the bounds.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: conn, from: l}
		if l.enter(c, originOf(conn.RemoteAddr())) {
			l.metrics.Connections(1)
			return c, nil
		}
		l.metrics.Refused()
		_ = conn.Close() // refused; there is nobody to tell
	}
}

func (l *limitListener) enter(c *limitedConn, from origin) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.ofHost(from) >= l.maxPerHost {
		return false
	}
	if l.open.held >= l.max {
		p := l.open.giving(from, anyone)
		if p == nil {
			return false
		}
		l.remove(p)
		_ = p.what.Conn.Close() // whoever serves it finds out, and closes it
	}
	c.place = l.open.take(from, c)
	return true
}

func (l *limitListener) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c.place)
}

// remove forgets a connection; one that was removed before changes nothing.
func (l *limitListener) remove(p *place[*limitedConn]) {
	if l.open.free(p) {
		l.metrics.Connections(-1)
	}
}

type limitedConn struct {
	net.Conn
	from  *limitListener
	place *place[*limitedConn]
}

func (c *limitedConn) Close() error {
	defer c.from.leave(c)
	return c.Conn.Close()
}
