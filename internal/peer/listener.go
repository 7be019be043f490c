package peer

import (
	"net"
	"sync"
)

// limitListener bounds how many connections are open at once, in all and from one host. A connection over the bound
// is closed at once rather than left waiting, so whoever holds many keeps nobody else from being told.
type limitListener struct {
	net.Listener
	max, maxPerHost int

	mu    sync.Mutex
	open  int
	hosts map[string]int
}

func newLimitListener(l net.Listener, maxConns, maxPerHost int) *limitListener {
	return &limitListener{Listener: l, max: maxConns, maxPerHost: maxPerHost, hosts: make(map[string]int)}
}

// Accept returns the next connection that is within the bounds.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(conn.RemoteAddr())
		if l.enter(host) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(host) })}, nil
		}
		_ = conn.Close() // refused; there is nobody to tell
	}
}

func (l *limitListener) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.max || l.hosts[host] >= l.maxPerHost {
		return false
	}
	l.open++
	l.hosts[host]++
	return true
}

func (l *limitListener) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.hosts[host]--; l.hosts[host] <= 0 {
		delete(l.hosts, host)
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

func hostOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return addr.String()
}
