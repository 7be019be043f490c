package vmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

func countBoots(log []byte) int { return bytes.Count(log, []byte("HIPPIUS BOOT")) }

// talk says something on the console and waits for the echo.
func (h *Harness) talk(t *testing.T, id vm.ID, text string) {
	t.Helper()
	line, err := h.Driver.DialConsole(t.Context(), id)
	must(t, "dial console", err)
	defer func() { must(t, "close console", line.Close()) }()
	h.echoes(t, line, text)
}

// echoes writes text and waits until it comes back.
func (h *Harness) echoes(t *testing.T, line io.ReadWriter, text string) {
	t.Helper()
	heard := make(chan error, 1)
	go func() {
		var got strings.Builder
		buf := make([]byte, 256)
		for !strings.Contains(got.String(), text) {
			n, err := line.Read(buf)
			if err != nil {
				heard <- err
				return
			}
			got.Write(buf[:n])
		}
		heard <- nil
	}()
	if _, err := io.WriteString(line, text); err != nil {
		t.Fatalf("write: %v", err)
	}
	select {
	case err := <-heard:
		must(t, "read the echo of "+text, err)
	case <-time.After(h.Timeout):
		t.Fatalf("%q was not echoed in %v", text, h.Timeout)
	}
}

// ends waits until reading from line fails.
func (h *Harness) ends(t *testing.T, line io.Reader) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, line)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(h.Timeout):
		t.Fatalf("the line of a stopped VM is open after %v", h.Timeout)
	}
}

func console(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.create(t, false)
	if _, err := h.Driver.DialConsole(ctx, m.ID); !errors.Is(err, hypervisor.ErrState) {
		t.Fatalf("console of a stopped VM: %v, want ErrState", err)
	}
	if log, err := h.Driver.ConsoleLog(ctx, m.ID); err != nil || len(log) != 0 {
		t.Fatalf("log before the first boot: %q, %v", log, err)
	}
	h.boot(t, m, 1)
	line, err := h.Driver.DialConsole(ctx, m.ID)
	must(t, "dial console", err)
	h.echoes(t, line, "hello")
	if _, err := h.Driver.DialConsole(ctx, m.ID); !errors.Is(err, hypervisor.ErrBusy) {
		t.Fatalf("second client: %v, want ErrBusy", err)
	}
	must(t, "close", line.Close())

	line, err = h.Driver.DialConsole(ctx, m.ID)
	must(t, "dial console anew", err)
	h.echoes(t, line, "again")
	h.stop(t, m.ID, hypervisor.MannerGuest)
	h.ends(t, line)
	_ = line.Close()

	h.boot(t, m, 2)
	log, err := h.Driver.ConsoleLog(ctx, m.ID)
	must(t, "console log", err)
	for _, want := range []string{BootLine(1), "hello", "again", BootLine(2)} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the log lacks %q: %q", want, log)
		}
	}
	if len(log) > hypervisor.ConsoleLogBytes {
		t.Errorf("log of %d bytes", len(log))
	}
}

func channel(t *testing.T, h *Harness) {
	ctx := t.Context()
	m := h.create(t, false)
	if _, err := h.Driver.DialChannel(ctx, m.ID); !errors.Is(err, hypervisor.ErrState) {
		t.Fatalf("channel of a stopped VM: %v, want ErrState", err)
	}
	h.boot(t, m, 1)
	conn, err := h.Driver.DialChannel(ctx, m.ID)
	must(t, "dial channel", err)
	if _, err := h.Driver.DialChannel(ctx, m.ID); !errors.Is(err, hypervisor.ErrBusy) {
		t.Fatalf("second client: %v, want ErrBusy", err)
	}
	must(t, "set deadline", conn.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("read past the deadline: %v", err)
	}
	must(t, "close", conn.Close())
	conn, err = h.Driver.DialChannel(ctx, m.ID)
	must(t, "dial channel anew", err)
	defer func() { _ = conn.Close() }()
	h.stop(t, m.ID, hypervisor.MannerGuest)
	h.ends(t, conn)
}

func channelEcho(t *testing.T, h *Harness) {
	if h.Talker == nil {
		t.Skip("no guest with an agent: " + h.NoTalker)
	}
	m := h.Talker(t)
	h.add(t, m)
	must(t, "start", h.Driver.Start(t.Context(), m.ID, m.DiskKey))
	conn, err := h.Driver.DialChannel(t.Context(), m.ID)
	must(t, "dial channel", err)
	h.talks(t, conn, "ping\n")
	must(t, "close", conn.Close())

	h.Reopen(t)
	conn, err = h.Driver.DialChannel(t.Context(), m.ID)
	must(t, "dial channel after a restart", err)
	defer func() { _ = conn.Close() }()
	h.talks(t, conn, "after the restart\n")

	// A disk that grows under the running guest is seen by it at once.
	h.answers(t, conn, "size\n", fmt.Sprintf("%d\n", m.DiskBytes/512))
	must(t, "grow", h.Driver.ResizeDisk(t.Context(), hypervisor.Root(m.ID), m.DiskBytes+1<<30, nil))
	h.answers(t, conn, "size\n", fmt.Sprintf("%d\n", (m.DiskBytes+1<<30)/512))
}

// talks says line until the guest's agent echoes it: said while the agent does not listen, it may be lost.
func (h *Harness) talks(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	h.answers(t, conn, line, line)
}

// answers says line until the guest's agent answers what is wanted.
func (h *Harness) answers(t *testing.T, conn net.Conn, line, want string) {
	t.Helper()
	var heard []byte
	buf := make([]byte, 4096)
	h.eventually(t, fmt.Sprintf("the agent's %q to %q", want, line), func() bool {
		must(t, "set deadline", conn.SetDeadline(time.Now().Add(300*time.Millisecond)))
		_, werr := io.WriteString(conn, line)
		n, _ := conn.Read(buf) // late is not lost
		heard = append(heard, buf[:n]...)
		return werr == nil && bytes.Contains(heard, []byte(want))
	})
}
