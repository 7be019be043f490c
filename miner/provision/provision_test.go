package provision_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/fake"
	"github.com/hippius/compute/miner/image"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/seed"
)

const id vm.ID = "00112233445566778899aabbccddeeff"

// host is what a provisioner works on, and what was asked of it.
type host struct {
	hypervisor.Driver
	mu    sync.Mutex // of did: some calls are made side by side
	did   []string
	fails string // the call that fails
	built *provision.Built
}

var errBroken = errors.New("broken")

func (h *host) do(what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.did = append(h.did, what)
	if h.fails == what {
		return errBroken
	}
	return nil
}

// done gives what was asked since, and forgets it.
func (h *host) done() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	did := h.did
	h.did = nil
	return did
}

func (h *host) Attach(context.Context, provision.Port) (provision.NIC, error) {
	return provision.NIC{
		Tap: "hip0", MAC: "52:54:00:00:00:01", Address: netip.MustParsePrefix("10.0.0.2/30"), Gateway: netip.MustParseAddr("10.0.0.1"),
	}, h.do("attach")
}
func (h *host) Detach(context.Context, vm.ID) error               { return h.do("detach") }
func (h *host) Put(seed.Seed) (string, error)                     { return "/seed.iso", h.do("put seed") }
func (h *host) Remove(vm.ID) error                                { return h.do("remove seed") }
func (h *host) Trim(func(string) bool, time.Time) (uint64, error) { return 0, nil }
func (*host) Has(image.Image) bool                                { return true }

func (h *host) Get(context.Context, image.Image) (string, error) {
	return "/base.qcow2", h.do("get image")
}
func (h *host) Apps(context.Context) ([]plan.App, error) { return nil, nil }
func (h *host) Images(context.Context) ([]plan.Image, error) {
	return []plan.Image{{Name: "tiny", Format: "qcow2", SHA256: make([]byte, 32)}}, nil
}

func (h *host) Collect(_ context.Context, _ vm.ID, seq uint32) (instance.Bundle, []byte, error) {
	return instance.Bundle{Seq: seq, DiskKey: slices.Repeat([]byte{byte(seq)}, hypervisor.DiskKeyBytes)}, nil, h.do(fmt.Sprint("secrets ", seq))
}

func (h *host) DiskMade(_ vm.ID, _ uint32, b provision.Built) error {
	h.built = &b
	return h.do("note disk")
}

func (h *host) Define(ctx context.Context, m hypervisor.Definition) error {
	return errors.Join(h.do("define"), h.Driver.Define(ctx, m))
}

func (h *host) CreateDisk(ctx context.Context, d hypervisor.Disk) error {
	return errors.Join(h.do("create disk"), h.Driver.CreateDisk(ctx, d))
}

func (h *host) ResizeDisk(ctx context.Context, d hypervisor.DiskID, size uint64, key hypervisor.DiskKey) error {
	return errors.Join(h.do("resize disk"), h.Driver.ResizeDisk(ctx, d, size, key))
}

func (h *host) Start(ctx context.Context, id vm.ID, key hypervisor.DiskKey) error {
	if err := h.do("start"); err != nil {
		return err
	}
	return h.Driver.Start(ctx, id, key)
}

func (h *host) Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (hypervisor.Manner, error) {
	_ = h.do("force off")
	return h.Driver.Shutdown(ctx, id, deadline)
}

func (h *host) TrashDisk(ctx context.Context, d hypervisor.DiskID) error {
	return errors.Join(h.do("trash disk"), h.Driver.TrashDisk(ctx, d))
}

func (h *host) Destroy(ctx context.Context, id vm.ID) error {
	return errors.Join(h.do("destroy"), h.Driver.Destroy(ctx, id))
}

// seeds has the one method whose name the driver has, too.
type seeds struct{ *host }

func (seeds) List() ([]vm.ID, error) { return nil, nil }

func newHost(t *testing.T) (*host, *provision.Provisioner) {
	t.Helper()
	dir := testkit.ShortDir(t)
	d, err := fake.New(fake.Config{Dir: filepath.Join(dir, "vms"), Boot: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	h := &host{Driver: d}
	return h, provision.New(provision.Config{
		ChainID: "c", Catalogue: h, Secrets: h, Images: h, Network: h, Seeds: seeds{h}, Driver: h, Notes: h,
	})
}

func needs(h *host) *provision.Needs {
	size := plan.Size{VCPUs: 1, MemoryMiB: 256, DiskGiB: 1, IOPS: 1, DiskBytesPerSecond: 1, NetworkBitsPerSecond: 1e6}
	return &provision.Needs{
		VM: vm.VM{
			ID: id, Generation: 1, Spec: vm.Spec{Name: "web-1", Image: "tiny"}, Status: vm.Status{InstanceSeq: 1},
			Sizing: vm.Sizing{Size: size},
		},
		Made: h.built, Bundles: &provision.Bundles{}, Mesh: func(context.Context) wire.Mesh { return wire.Mesh{} },
	}
}

// All is made in one order and released in reverse; what runs is verified, and nothing of it replaced.
func TestOrder(t *testing.T) {
	t.Parallel()
	h, p := newHost(t)
	n := needs(h)
	require.NoError(t, p.Collect(t.Context(), n))
	h.done()
	require.NoError(t, p.Up(t.Context(), n))
	require.Equal(t, []string{"attach", "put seed", "define", "note disk", "create disk", "start"}, h.done())

	require.NoError(t, p.Verify(t.Context(), n))
	require.Equal(t, []string{"attach"}, h.done())
	n.Built.DiskBytes *= 2
	require.NoError(t, p.Verify(t.Context(), n))
	require.Equal(t, []string{"attach", "resize disk", "note disk"}, h.done())
	require.NoError(t, p.Verify(t.Context(), n))
	require.Equal(t, []string{"attach"}, h.done())

	require.NoError(t, p.Cut(t.Context(), id))
	h.done()
	require.NoError(t, p.Down(t.Context(), id))
	require.Equal(t, []string{"remove seed", "detach"}, h.done())
	require.NoError(t, p.Remove(t.Context(), id))
	require.Equal(t, []string{"force off", "trash disk", "destroy", "remove seed", "detach"}, h.done())
	require.NoError(t, p.Remove(t.Context(), id), "again")
	info, err := h.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, hypervisor.StateAbsent, info.State)
}

// Whatever fails, what only a running VM needs is released, and the disk stays for the next try.
func TestUpFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fails    string
		released []string
	}{
		{"attach", nil},
		{"put seed", []string{"detach"}},
		{"define", []string{"remove seed", "detach"}},
		{"create disk", []string{"remove seed", "detach"}},
		{"start", []string{"remove seed", "detach"}},
	} {
		t.Run(c.fails, func(t *testing.T) {
			t.Parallel()
			h, p := newHost(t)
			n := needs(h)
			require.NoError(t, p.Collect(t.Context(), n))
			h.fails = c.fails
			ctx, cancel := context.WithCancel(t.Context())
			require.ErrorIs(t, p.Up(ctx, n), errBroken)
			cancel()
			did := h.done()
			at := slices.Index(did, c.fails) + 1
			require.Equal(t, c.released, append([]string(nil), did[at:]...))
			h.fails = ""
			n = needs(h)
			require.NoError(t, p.Collect(t.Context(), n))
			require.NoError(t, p.Up(t.Context(), n))
			require.Equal(t, c.fails != "start" && c.fails != "create disk", slices.Contains(h.done(), "note disk"), "the disk stays")
		})
	}
}

// A VM whose start is said to have failed, and that runs, keeps what it needs.
func TestStartFailsYetItRuns(t *testing.T) {
	t.Parallel()
	h, p := newHost(t)
	n := needs(h)
	require.NoError(t, p.Collect(t.Context(), n))
	require.NoError(t, p.Up(t.Context(), n))
	h.done()
	h.fails = "start"
	require.ErrorIs(t, p.Up(t.Context(), n), errBroken)
	require.NotContains(t, h.done(), "detach")
}

// A disk opens with the key of the instance that made it, and one that holds data is not made anew.
func TestRootDisk(t *testing.T) {
	t.Parallel()
	h, p := newHost(t)
	n := needs(h)
	require.NoError(t, p.Collect(t.Context(), n))
	require.NoError(t, p.Up(t.Context(), n))
	require.NoError(t, p.Cut(t.Context(), id))

	n = needs(h)
	n.DiskSeq, n.HasData, n.VM.Status.InstanceSeq = 1, true, 2
	require.NoError(t, p.Collect(t.Context(), n))
	require.NoError(t, p.Up(t.Context(), n))
	require.Contains(t, h.done(), "secrets 1")
	require.NoError(t, p.Cut(t.Context(), id))

	require.NoError(t, h.Driver.TrashDisk(t.Context(), hypervisor.Root(id)))
	n = needs(h)
	n.HasData = true
	require.NoError(t, p.Collect(t.Context(), n))
	require.ErrorIs(t, p.Up(t.Context(), n), provision.ErrNoDisk)
	has, err := h.HasDisk(t.Context(), hypervisor.Root(id))
	require.NoError(t, err)
	require.False(t, has)
}
