package fake

import (
	"net"
	"sync"

	"github.com/hippius/compute/miner/hypervisor"
)

// port is a serial line between a guest and at most one client on the host,
// with the manners of a QEMU socket device: the guest's end lives as long as
// the VM, clients come and go, and what the guest says while there is
// none is dropped.
type port struct {
	guest net.Conn // the guest's end
	host  net.Conn // its other side
	sink  func([]byte)

	clients sync.WaitGroup // what serves them
	// turn is held while one client's words go to the guest, who may take his
	// time. No mutex: waiting for a guest is nothing synctest may not know of.
	turn chan struct{}

	mu     sync.Mutex
	moved  *sync.Cond // paused, client or closed changed
	client *attached
	paused bool
	closed bool
}

func newPort(sink func([]byte)) *port {
	p := &port{sink: sink, turn: make(chan struct{}, 1)}
	p.guest, p.host = net.Pipe()
	p.moved = sync.NewCond(&p.mu)
	return p
}

// attached is the client's connection; closing it frees the port at once.
type attached struct {
	net.Conn
	far  net.Conn
	port *port
}

func (a *attached) Close() error {
	a.port.detach(a)
	_ = a.far.Close()
	return a.Conn.Close()
}

func (p *port) detach(a *attached) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client == a {
		p.client = nil
		p.moved.Broadcast()
	}
}

func (p *port) dial() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, hypervisor.ErrState
	}
	if p.client != nil {
		return nil, hypervisor.ErrBusy
	}
	near, far := net.Pipe()
	a := &attached{Conn: near, far: far, port: p}
	p.client = a
	p.clients.Go(func() { p.fromClient(a) })
	return a, nil
}

// fromClient carries what one client says to the guest.
func (p *port) fromClient(a *attached) {
	buf := make([]byte, 4096)
	for {
		n, err := a.far.Read(buf)
		if err != nil || !p.awake() {
			return
		}
		p.turn <- struct{}{}
		_, _ = p.host.Write(buf[:n]) // a guest that closed its end hears nothing
		<-p.turn
	}
}

// awake waits while the VM is paused; it reports false once it ended.
func (p *port) awake() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.paused && !p.closed {
		p.moved.Wait()
	}
	return !p.closed
}

// pump carries what the guest says to whoever is attached, until close.
func (p *port) pump() {
	defer p.clients.Wait() // only once closed
	buf := make([]byte, 4096)
	for {
		n, err := p.host.Read(buf)
		if err != nil || !p.awake() {
			return
		}
		if p.sink != nil {
			p.sink(buf[:n])
		}
		p.mu.Lock()
		a := p.client
		p.mu.Unlock()
		if a == nil {
			continue
		}
		if _, err := a.far.Write(buf[:n]); err != nil {
			p.detach(a)
		}
	}
}

func (p *port) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
	p.moved.Broadcast()
}

func (p *port) close() {
	p.mu.Lock()
	p.closed = true
	a := p.client
	p.client = nil
	p.moved.Broadcast()
	p.mu.Unlock()
	_ = p.host.Close()
	_ = p.guest.Close()
	if a != nil {
		_ = a.far.Close()
	}
}
