package agent_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"slices"
	"strings"
	"time"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/provision"
)

// far is the host as the agent's process sees it.
type far struct {
	socket string
	calls  *rpc.Client
}

func dialFar(socket string) (*far, error) {
	f := &far{socket: socket}
	conn, _, err := f.dial("calls", "")
	if err != nil {
		return nil, err
	}
	f.calls = rpc.NewClient(conn)
	return f, nil
}

func (f *far) dial(what, id string) (net.Conn, *bufio.Reader, error) {
	conn, err := new(net.Dialer).DialContext(context.Background(), "unix", f.socket)
	if err != nil {
		return nil, nil, err
	}
	if _, err := fmt.Fprintln(conn, what, id); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, bufio.NewReader(conn), nil
}

// kinds of errors that an agent acts upon, told from their words as words are all that comes through.
func kinds() []error {
	return []error{hypervisor.ErrNotFound, hypervisor.ErrState, hypervisor.ErrHypervisorDown, hypervisor.ErrNoSpace, hypervisor.ErrNoDisk, hypervisor.ErrWrongKey, hypervisor.ErrBusy}
}

func (f *far) call(ctx context.Context, method string, in, out any) error {
	c := f.calls.Go(method, in, out, make(chan *rpc.Call, 1))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.Done:
	}
	if c.Error == nil {
		return nil
	}
	if i := slices.IndexFunc(kinds(), func(k error) bool { return strings.Contains(c.Error.Error(), k.Error()) }); i >= 0 {
		return fmt.Errorf("%w: %w", kinds()[i], c.Error)
	}
	return c.Error
}

func asked[T any](ctx context.Context, f *far, method string, in any) (out T, err error) {
	err = f.call(ctx, method, in, &out)
	return out, err
}

// farDriver is the part of a driver that an agent uses.
type farDriver struct {
	hypervisor.Driver // of what is not here nothing may be called
	f                 *far
}

func (d farDriver) Define(ctx context.Context, m hypervisor.Definition) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.Define", m)
	return err
}

func (d farDriver) Start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.Start", StartCall{id, key})
	return err
}

func (d farDriver) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	return asked[hypervisor.Manner](ctx, d.f, "Hypervisor.Shutdown", BringDown{id, deadline})
}

func (d farDriver) Reboot(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	return asked[hypervisor.Manner](ctx, d.f, "Hypervisor.Reboot", BringDown{id, deadline})
}

func (d farDriver) Resume(ctx context.Context, id vm.ID) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.Resume", id)
	return err
}

func (d farDriver) Destroy(ctx context.Context, id vm.ID) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.Destroy", id)
	return err
}

func (d farDriver) Inspect(ctx context.Context, id vm.ID) (hypervisor.Info, error) {
	return asked[hypervisor.Info](ctx, d.f, "Hypervisor.Inspect", id)
}

func (d farDriver) List(ctx context.Context) ([]hypervisor.Info, error) {
	return asked[[]hypervisor.Info](ctx, d.f, "Hypervisor.List", true)
}

func (d farDriver) CreateDisk(ctx context.Context, k hypervisor.Disk) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.CreateDisk", k)
	return err
}

func (d farDriver) HasDisk(ctx context.Context, id hypervisor.DiskID) (bool, error) {
	return asked[bool](ctx, d.f, "Hypervisor.HasDisk", id)
}

func (d farDriver) ResizeDisk(ctx context.Context, id hypervisor.DiskID, size uint64, key hypervisor.DiskKey) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.ResizeDisk", GrowCall{id, size, key})
	return err
}

func (d farDriver) TrashDisk(ctx context.Context, id hypervisor.DiskID) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.TrashDisk", id)
	return err
}

func (d farDriver) Space(ctx context.Context) (hypervisor.Space, error) {
	return asked[hypervisor.Space](ctx, d.f, "Hypervisor.Space", true)
}

func (d farDriver) Discard(ctx context.Context, t hypervisor.Trashed) error {
	_, err := asked[done](ctx, d.f, "Hypervisor.Discard", t)
	return err
}

func (d farDriver) BaseImages(ctx context.Context) ([]string, error) {
	return asked[[]string](ctx, d.f, "Hypervisor.BaseImages", true)
}

func (d farDriver) DialChannel(_ context.Context, id vm.ID) (net.Conn, error) {
	conn, in, err := d.f.dial("channel", string(id))
	if err != nil {
		return nil, err
	}
	answer, err := in.ReadString('\n')
	if err == nil && answer != "ok\n" {
		err = errors.New(strings.TrimSpace(answer))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return buffered{conn, in}, nil
}

// buffered is a connection of which a line was read.
type buffered struct {
	net.Conn
	in *bufio.Reader
}

func (c buffered) Read(p []byte) (int, error) { return c.in.Read(p) }

func (d farDriver) Events(ctx context.Context) <-chan vm.ID {
	out := make(chan vm.ID)
	go func() {
		defer close(out)
		conn, in, err := d.f.dial("events", "")
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			out <- vm.ID(strings.TrimSpace(line))
		}
	}()
	return out
}

// farSurroundings implements the agent's other parts.
type farSurroundings struct{ *far }

func (f farSurroundings) Changes(ctx context.Context, after int64) (agent.Changes, error) {
	return asked[agent.Changes](ctx, f.far, "Host.Changes", after)
}

func (f farSurroundings) Everywhere(ctx context.Context, id vm.ID) ([]vm.VM, error) {
	return asked[[]vm.VM](ctx, f.far, "Host.Everywhere", id)
}

func (f farSurroundings) Report(ctx context.Context, r []vm.Report) ([]vm.ReportResult, error) {
	return asked[[]vm.ReportResult](ctx, f.far, "Host.Report", r)
}

func (f farSurroundings) Images(ctx context.Context) ([]plan.Image, error) {
	return asked[[]plan.Image](ctx, f.far, "Host.Images", true)
}

func (f farSurroundings) Apps(ctx context.Context) ([]plan.App, error) {
	return asked[[]plan.App](ctx, f.far, "Host.Apps", true)
}

func (f farSurroundings) Collect(ctx context.Context, id vm.ID, seq uint32) (instance.Bundle, []byte, error) {
	g, err := asked[Gift](ctx, f.far, "Host.Collect", AskCall{id, seq})
	return g.Bundle, g.UserData, err
}

func (f farSurroundings) View(ctx context.Context, owner string) (wire.Mesh, error) {
	return asked[wire.Mesh](ctx, f.far, "Host.View", owner)
}

func (f farSurroundings) Attach(ctx context.Context, p provision.Port) (provision.NIC, error) {
	return asked[provision.NIC](ctx, f.far, "Host.Attach", p)
}

func (f farSurroundings) Detach(ctx context.Context, id vm.ID) error {
	_, err := asked[done](ctx, f.far, "Host.Detach", id)
	return err
}
