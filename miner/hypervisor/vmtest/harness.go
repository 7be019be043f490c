// Package vmtest is the contract of a hypervisor.Driver as tests: one suite, which
// every driver passes, the fake as well as the real one.
//
// The VMs it runs hold a guest that keeps four promises: it counts its
// boots on its disk, says "HIPPIUS BOOT" and the count on its serial console
// when it is up, echoes what it hears there, and powers off on ACPI's button
// (unless it is deaf) and when told to.
package vmtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// Harness is one driver under test and the hands that reach around it.
type Harness struct {
	Driver hypervisor.Driver
	// Definition describes a new VM whose files exist; its disk does not.
	// A deaf one ignores ACPI.
	Definition func(t *testing.T, deaf bool) hypervisor.Definition
	// Talker is like Definition, with an agent that echoes each line on the channel,
	// but answers "size" with its disk's size in sectors of 512 bytes. Nil if
	// there is none, NoTalker saying why.
	Talker   func(t *testing.T) hypervisor.Definition
	NoTalker string
	// Reopen closes Driver and opens another, as a restarted agent does.
	Reopen func(t *testing.T)
	// KillProcess kills the VM's process without its knowing.
	KillProcess func(t *testing.T, id vm.ID)
	// PowerOff makes the guest power itself off, by itself.
	PowerOff func(t *testing.T, id vm.ID)
	// SetDown stops or starts the hypervisor's daemon.
	SetDown func(t *testing.T, down bool)
	// SetFull fills the disk that VMs' disks go to, or makes room.
	SetFull func(t *testing.T, full bool)
	// Timeout bounds how long a guest may take for anything; Deadline is one
	// that a guest which listens always meets.
	Timeout  time.Duration
	Deadline time.Duration
}

// NewID makes a random id.
func NewID() vm.ID {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return vm.ID(hex.EncodeToString(b))
}

// NewKey makes a random disk key.
func NewKey() hypervisor.DiskKey {
	b := make(hypervisor.DiskKey, hypervisor.DiskKeyBytes)
	_, _ = rand.Read(b) // never fails
	return b
}

// BootLine is what a guest says on its console at its n-th boot.
func BootLine(n int) string { return fmt.Sprintf("HIPPIUS BOOT %04d", n) }

// create defines m with a disk and has it destroyed after the test.
func (h *Harness) create(t *testing.T, deaf bool) hypervisor.Definition {
	t.Helper()
	m := h.Definition(t, deaf)
	h.add(t, m)
	return m
}

func (h *Harness) add(t *testing.T, m hypervisor.Definition) {
	t.Helper()
	h.destroyLater(t, m.ID)
	must(t, "define", h.Driver.Define(t.Context(), m))
	must(t, "create disk", h.Driver.CreateDisk(t.Context(), m.Root()))
}

func (h *Harness) destroyLater(t *testing.T, id vm.ID) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), h.Timeout)
		defer cancel()
		if err := h.Driver.Destroy(ctx, id); err != nil {
			t.Errorf("destroy after the test: %v", err)
		}
	})
}

// boot starts m and waits until its guest has booted n times.
func (h *Harness) boot(t *testing.T, m hypervisor.Definition, n int) {
	t.Helper()
	must(t, "start", h.Driver.Start(t.Context(), m.ID, m.DiskKey))
	h.booted(t, m.ID, n)
}

func (h *Harness) booted(t *testing.T, id vm.ID, n int) {
	t.Helper()
	h.eventually(t, BootLine(n)+" on the console", func() bool {
		log, err := h.Driver.ConsoleLog(t.Context(), id)
		must(t, "console log", err)
		return bytes.Contains(log, []byte(BootLine(n)))
	})
}

// eventually polls until ok, for at most h.Timeout.
func (h *Harness) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(h.Timeout); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", h.Timeout, what)
		}
	}
}

func (h *Harness) inspect(t *testing.T, id vm.ID) hypervisor.Info {
	t.Helper()
	info, err := h.Driver.Inspect(t.Context(), id)
	must(t, "inspect", err)
	if info.ID != id {
		t.Fatalf("inspected %s, got %s", id, info.ID)
	}
	return info
}

// reaches waits until the VM is in a state for a reason.
func (h *Harness) reaches(t *testing.T, id vm.ID, state hypervisor.State, reason hypervisor.StopReason) {
	t.Helper()
	var last hypervisor.Info
	for end := time.Now().Add(h.Timeout); ; time.Sleep(20 * time.Millisecond) {
		last = h.inspect(t, id)
		if last.State == state && last.StopReason == reason {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v the VM is %q (%q), want %q (%q)", h.Timeout, last.State, last.StopReason, state, reason)
		}
	}
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
