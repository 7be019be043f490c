package agent_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"path/filepath"
	"strings"
	"sync"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/provision"
)

// host offers a world to an agent in another process: its VMs, taps, chain and keepers outlive the agent, as they
// do for a real one. A call that was begun is carried out, though its caller may be dead by then.
type host struct {
	w      *world
	listen net.Listener
	server *rpc.Server
	wg     sync.WaitGroup
	ctx    context.Context //nolint:containedctx // of calls that outlive their caller

	mu     sync.Mutex
	conns  map[net.Conn]bool
	calls  int            // connections on which an agent's calls are carried out
	left   *sync.Cond     // one of them was closed
	starts map[uint64]int // processes begun, by generation
	disks  int            // made
}

const socketName = "host.sock"

func newHost(w *world) *host {
	w.t.Helper()
	l, err := new(net.ListenConfig).Listen(w.t.Context(), "unix", filepath.Join(w.dir, socketName))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &host{w: w, listen: l, server: rpc.NewServer(), ctx: ctx, conns: map[net.Conn]bool{}, starts: map[uint64]int{}}
	for name, service := range map[string]any{"Hypervisor": &domains{h}, "Host": &surroundings{h}} {
		if err := h.server.RegisterName(name, service); err != nil {
			w.t.Fatal(err)
		}
	}
	h.left = sync.NewCond(&h.mu)
	h.wg.Go(h.accept)
	w.t.Cleanup(func() {
		cancel()
		_ = l.Close()
		h.mu.Lock()
		for c := range h.conns {
			_ = c.Close()
		}
		h.mu.Unlock()
		h.wg.Wait()
	})
	return h
}

func (h *host) accept() {
	for {
		conn, err := h.listen.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[conn] = true
		h.mu.Unlock()
		h.wg.Go(func() {
			h.serve(conn)
			_ = conn.Close()
			h.mu.Lock()
			delete(h.conns, conn)
			h.mu.Unlock()
		})
	}
}

// serve does what a connection's first line asks for: calls, events, or a VM's channel.
func (h *host) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	switch what, id, _ := strings.Cut(strings.TrimSpace(line), " "); what {
	case "calls":
		h.mu.Lock()
		h.calls++
		h.mu.Unlock()
		defer func() {
			h.mu.Lock()
			h.calls--
			h.mu.Unlock()
			h.left.Broadcast()
		}()
		h.server.ServeConn(buffered{conn, in}) // returns when the last call is carried out
	case "events":
		ctx, cancel := context.WithCancel(h.ctx)
		defer cancel()
		h.wg.Go(func() {
			_, _ = io.Copy(io.Discard, conn)
			cancel()
		})
		for id := range h.w.driver.Events(ctx) {
			if _, err := fmt.Fprintln(conn, id); err != nil {
				return
			}
		}
	case "channel":
		guest, err := h.w.driver.DialChannel(h.ctx, vm.ID(id))
		if err != nil {
			_, _ = fmt.Fprintln(conn, err)
			return
		}
		if _, err := fmt.Fprintln(conn, "ok"); err == nil {
			h.wg.Go(func() {
				_, _ = io.Copy(guest, in)
				_ = guest.Close()
			})
			_, _ = io.Copy(conn, guest)
		}
		_ = guest.Close()
	}
}

// domains is the fake driver's calls.
type domains struct{ h *host }

// The arguments below are exported as net/rpc wants them.

// done is an answer without content.
type done = bool

type BringDown struct {
	ID       vm.ID
	Deadline time.Duration
}

type GrowCall struct {
	ID    hypervisor.DiskID
	Bytes uint64
	Key   []byte
}

type StartCall struct {
	ID  vm.ID
	Key []byte
}

func (s *domains) Define(m hypervisor.Definition, _ *done) error {
	return s.h.w.driver.Define(s.h.ctx, m)
}

// Start counts the processes that were begun for each generation.
func (s *domains) Start(r StartCall, _ *done) error {
	d := s.h.w.driver
	before, err := d.Inspect(s.h.ctx, r.ID)
	if err != nil {
		return err
	}
	if err := d.Start(s.h.ctx, r.ID, r.Key); err != nil {
		return err
	}
	if !before.State.Alive() {
		s.h.mu.Lock()
		defer s.h.mu.Unlock()
		s.h.starts[before.Generation]++
	}
	return nil
}

func (s *domains) Shutdown(r BringDown, m *hypervisor.Manner) (err error) {
	*m, err = s.h.w.driver.Shutdown(s.h.ctx, r.ID, r.Deadline)
	return err
}

func (s *domains) Reboot(r BringDown, m *hypervisor.Manner) (err error) {
	*m, err = s.h.w.driver.Reboot(s.h.ctx, r.ID, r.Deadline)
	return err
}

func (s *domains) Resume(id vm.ID, _ *done) error { return s.h.w.driver.Resume(s.h.ctx, id) }

func (s *domains) Destroy(id vm.ID, _ *done) error {
	return s.h.w.driver.Destroy(s.h.ctx, id)
}

func (s *domains) Inspect(id vm.ID, i *hypervisor.Info) (err error) {
	*i, err = s.h.w.driver.Inspect(s.h.ctx, id)
	return err
}

func (s *domains) List(_ done, list *[]hypervisor.Info) (err error) {
	*list, err = s.h.w.driver.List(s.h.ctx)
	return err
}

// CreateDisk counts the disks that were made.
func (s *domains) CreateDisk(k hypervisor.Disk, _ *done) error {
	d := s.h.w.driver
	had, err := d.HasDisk(s.h.ctx, k.DiskID)
	if err != nil {
		return err
	}
	if err := d.CreateDisk(s.h.ctx, k); err != nil {
		return err
	}
	if !had {
		s.h.mu.Lock()
		defer s.h.mu.Unlock()
		s.h.disks++
	}
	return nil
}

func (s *domains) HasDisk(id hypervisor.DiskID, has *bool) (err error) {
	*has, err = s.h.w.driver.HasDisk(s.h.ctx, id)
	return err
}

func (s *domains) ResizeDisk(r GrowCall, _ *done) error {
	return s.h.w.driver.ResizeDisk(s.h.ctx, r.ID, r.Bytes, r.Key)
}

func (s *domains) TrashDisk(id hypervisor.DiskID, _ *done) error {
	return s.h.w.driver.TrashDisk(s.h.ctx, id)
}

func (s *domains) Space(_ done, space *hypervisor.Space) (err error) {
	*space, err = s.h.w.driver.Space(s.h.ctx)
	return err
}

func (s *domains) Discard(t hypervisor.Trashed, _ *done) error {
	return s.h.w.driver.Discard(s.h.ctx, t)
}

func (s *domains) BaseImages(_ done, list *[]string) (err error) {
	*list, err = s.h.w.driver.BaseImages(s.h.ctx)
	return err
}

// surroundings are the chain, the keepers, the catalogue, the mesh and the network.
type surroundings struct{ h *host }

type AskCall struct {
	ID  vm.ID
	Seq uint32
}

type Gift struct {
	Bundle   instance.Bundle
	UserData []byte
}

func (s *surroundings) Changes(after int64, c *agent.Changes) (err error) {
	*c, err = s.h.w.chain.Changes(s.h.ctx, after)
	return err
}

func (s *surroundings) Everywhere(id vm.ID, all *[]vm.VM) (err error) {
	*all, err = s.h.w.chain.Everywhere(s.h.ctx, id)
	return err
}

func (s *surroundings) Report(r []vm.Report, out *[]vm.ReportResult) (err error) {
	*out, err = s.h.w.chain.Report(s.h.ctx, r)
	return err
}

func (s *surroundings) Images(_ done, out *[]plan.Image) (err error) {
	*out, err = s.h.w.catalogue.Images(s.h.ctx)
	return err
}

func (s *surroundings) Apps(_ done, out *[]plan.App) (err error) {
	*out, err = s.h.w.catalogue.Apps(s.h.ctx)
	return err
}

func (s *surroundings) Collect(r AskCall, out *Gift) (err error) {
	out.Bundle, out.UserData, err = s.h.w.keepers.Collect(s.h.ctx, r.ID, r.Seq)
	return err
}

func (s *surroundings) View(owner string, m *wire.Mesh) (err error) {
	*m, err = s.h.w.mesh.View(s.h.ctx, owner)
	return err
}

func (s *surroundings) Attach(p provision.Port, nic *provision.NIC) (err error) {
	*nic, err = s.h.w.network.Attach(s.h.ctx, p)
	return err
}

func (s *surroundings) Detach(id vm.ID, _ *done) error {
	return s.h.w.network.Detach(s.h.ctx, id)
}
