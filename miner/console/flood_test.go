package console_test

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/fake"
)

// shouting is a driver one of whose guests fills its console without end.
type shouting struct {
	*fake.Driver
	read  atomic.Int64
	first atomic.Bool
}

func (s *shouting) DialConsole(ctx context.Context, id vm.ID) (io.ReadWriteCloser, error) {
	if s.first.CompareAndSwap(false, true) {
		return &endless{s: s, closed: make(chan struct{})}, nil
	}
	return s.Driver.DialConsole(ctx, id)
}

// ConsoleLog is another at each look, as large as a log gets.
func (s *shouting) ConsoleLog(context.Context, vm.ID) ([]byte, error) {
	return bytes.Repeat([]byte{byte(s.read.Add(1)), '\n', 0x1b, 0xff}, hypervisor.ConsoleLogBytes/4), nil
}

type endless struct {
	s      *shouting
	closed chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	select {
	case <-e.closed:
		return 0, io.EOF
	default:
	}
	e.s.read.Add(int64(len(p)))
	return len(p), nil
}

func (e *endless) Write(p []byte) (int, error) { return len(p), nil }

func (e *endless) Close() error {
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
	return nil
}

// TestFloodedConsole: a guest that fills its console without end waits for
// whoever watches it, and nobody else does.
func TestFloodedConsole(t *testing.T) {
	var d *shouting
	b := newBenchOn(t, func(f *fake.Driver) hypervisor.Console {
		d = &shouting{Driver: f}
		return d
	})
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // far below
	}
	b.untilBooted()
	before := heap()
	mad := b.open(t.Context(), vmID, b.grant(same))
	if _, err := mad.Recv(); err != nil {
		t.Fatal(err)
	}
	// It looks away: what is read of the guest comes to a stop.
	last := int64(-1)
	for now := d.read.Load(); now == 0 || now != last; now = d.read.Load() {
		last = now
		time.Sleep(300 * time.Millisecond)
		if now > 256<<20 {
			t.Fatalf("%d bytes were read for somebody who does not listen", now)
		}
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("%d bytes are held for somebody who does not listen", grown)
	}
	// Its log is followed in bounds, and the console of another is served.
	logs, err := b.client.Logs(t.Context(), &minerv1.LogsRequest{Grant: b.grant(same), VmId: vmID, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	for seen := 0; seen < 4*hypervisor.ConsoleLogBytes; {
		r, err := logs.Recv()
		if err != nil {
			t.Fatal(err)
		}
		seen += len(r.GetOutput())
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("%d bytes are held for a log", grown)
	}
	calm := b.open(t.Context(), vmID, b.grant(same))
	if _, err := calm.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := calm.Send(&minerv1.ConsoleRequest{Message: &minerv1.ConsoleRequest_Input{Input: []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	for heard := []byte{}; !bytes.Contains(heard, []byte("hello")); {
		r, err := calm.Recv()
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, r.GetOutput()...)
	}
}
