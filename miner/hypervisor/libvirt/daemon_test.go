package libvirt

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
)

// Numbers of libvirt's procedures.
const (
	procOpen       = 1
	procVersion    = 4
	procDescribe   = 14
	procLookup     = 24
	procAuthList   = 66
	procDefine     = 142 // a secret
	procForget     = 146
	procLibVersion = 157
	procCreate     = 196
	procState      = 212
	procReset      = 245
	procSecrets    = 287
	procSubscribe  = 316
)

// maxRequests is how many requests of one client libvirtd reads before it has answered the first: its max_client_requests.
const maxRequests = 5

// daemon speaks as much of libvirt's protocol as the tests need, and answers only what it is told to.
type daemon struct {
	socket string

	mu      sync.Mutex
	changed *sync.Cond
	answers func(conn, proc int) bool // conn counts from 1
	conns   []net.Conn
	seen    map[int]int // calls by procedure
	ended   bool

	// id and text are of the one domain there is, which does not run.
	id   vm.ID
	text string
}

// newDaemon listens until the test ends.
func newDaemon(t *testing.T, answers func(conn, proc int) bool) *daemon {
	t.Helper()
	d := &daemon{socket: filepath.Join(testkit.ShortDir(t), "libvirt-sock"), answers: answers, seen: map[int]int{}}
	d.changed = sync.NewCond(&d.mu)
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", d.socket)
	testkit.Check(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, conn)
			n := len(d.conns)
			d.mu.Unlock()
			all.Go(func() { d.serve(conn, n) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		d.mu.Lock()
		d.ended = true
		for _, c := range d.conns {
			_ = c.Close()
		}
		d.changed.Broadcast()
		d.mu.Unlock()
		all.Wait()
	})
	return d
}

// all and none are what a daemon answers that works, and that hangs.
func all(int, int) bool  { return true }
func none(int, int) bool { return false }

// shaken answers what opens a connection, and nothing else.
func shaken(_, proc int) bool { return proc == procOpen || proc == procAuthList }

// set what is answered from here on, also of what was asked before.
func (d *daemon) set(answers func(conn, proc int) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = answers
	d.changed.Broadcast()
}

// asked tells how often a procedure was called.
func (d *daemon) asked(proc int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen[proc]
}

// connections tells how many there were.
func (d *daemon) connections() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// serve one connection.
func (d *daemon) serve(conn net.Conn, n int) {
	var pending sync.WaitGroup
	defer pending.Wait()
	defer func() { _ = conn.Close() }()
	var writing sync.Mutex
	reading := make(chan struct{}, maxRequests)
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(size[:])-4)
		if _, err := io.ReadFull(conn, rest); err != nil {
			return
		}
		proc := int(binary.BigEndian.Uint32(rest[8:]))
		d.mu.Lock()
		d.seen[proc]++
		d.mu.Unlock()
		reading <- struct{}{}
		pending.Go(func() {
			defer func() { <-reading }()
			d.mu.Lock()
			for !d.ended && !d.answers(n, proc) {
				d.changed.Wait()
			}
			d.mu.Unlock()
			writing.Lock()
			defer writing.Unlock()
			_, _ = conn.Write(d.reply(rest, proc)) // the client may be gone
		})
	}
}

// reply to a request, given without its length.
func (d *daemon) reply(request []byte, proc int) []byte {
	out := append(make([]byte, 4), request[:24]...)
	binary.BigEndian.PutUint32(out[16:], 1) // a reply
	switch proc {
	case procAuthList:
		out = append(out, 0, 0, 0, 1, 0, 0, 0, 0)
	case procVersion, procLibVersion:
		out = binary.BigEndian.AppendUint64(out, 9_000_000)
	case procSecrets:
		out = append(out, 0, 0, 0, 0, 0, 0, 0, 0)
	case procLookup:
		uuid := uuidOf(d.id)
		out = append(appendString(out, "domain"), uuid[:]...)
		out = binary.BigEndian.AppendUint32(out, 1)
	case procDescribe:
		out = appendString(out, d.text)
	case procState:
		out = append(out, 0, 0, 0, byte(lv.DomainShutoff), 0, 0, 0, 0)
	case procDefine:
		uuid := uuidOf(d.id)
		out = appendString(append(append(out, uuid[:]...), 0, 0, 0, 1), "disk")
	case procSubscribe:
		out = append(out, 0, 0, 0, 1)
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}

// appendString writes a string as libvirt's protocol does.
func appendString(out []byte, s string) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(s)))
	out = append(out, s...)
	for len(out)%4 != 0 {
		out = append(out, 0)
	}
	return out
}
