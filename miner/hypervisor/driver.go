package hypervisor

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/hippius/compute/core/vm"
)

// Driver is all that a miner needs of a hypervisor.
//
// Every method is safe for concurrent use; calls for one VM are taken
// one after the other. Every method gives up when its context ends and may
// return ErrHypervisorDown, except where its comment says that it works
// without the hypervisor's daemon.
type Driver interface {
	Lifecycle
	Inventory
	Disks
	Console
	Channel
	Events

	// Close lets go of the hypervisor. VMs keep running.
	Close() error
}

// Lifecycle brings one VM from state to state.
type Lifecycle interface {
	// Define makes the VM known, or makes a known one match m. On a
	// VM that runs, what differs takes effect at its next start. It
	// neither makes nor checks the disk.
	Define(ctx context.Context, m Definition) error

	// Start boots a stopped or crashed VM; on a running or paused one it
	// does nothing. It returns when the process runs, not when the guest is
	// up. ErrNotFound, ErrNoDisk, ErrWrongKey, ErrNoSpace.
	Start(ctx context.Context, id vm.ID, key DiskKey) error

	// Shutdown asks the guest to power off, again and again until it does,
	// and forces it off when the deadline has passed; a deadline of 0 or less
	// forces it off at once. A paused VM is resumed to be asked. It returns
	// when the VM has stopped, saying how; when ctx ends first, nothing
	// has been forced.
	Shutdown(ctx context.Context, id vm.ID, deadline time.Duration) (Manner, error)

	// Reboot is the same for a restart: asked until the guest restarts, reset
	// when the deadline has passed. ErrState unless running or paused.
	Reboot(ctx context.Context, id vm.ID, deadline time.Duration) (Manner, error)

	// Suspend stops the CPUs of a running VM, Resume lets them run.
	// ErrState if it has no process.
	Suspend(ctx context.Context, id vm.ID) error
	Resume(ctx context.Context, id vm.ID) error

	// Destroy forces the VM off, forgets it and moves all its disks to the
	// trash. Nothing else of it stays. Absent VMs are no error.
	Destroy(ctx context.Context, id vm.ID) error
}

// Inventory tells what is here.
type Inventory interface {
	// Inspect never returns ErrNotFound: an absent VM is an answer.
	Inspect(ctx context.Context, id vm.ID) (Info, error)

	// List returns every VM this driver owns, by id, in whatever state:
	// what a restarted agent adopts. VMs of others are left out.
	List(ctx context.Context) ([]Info, error)

	// Stats counts what a VM uses. ErrNotFound.
	Stats(ctx context.Context, id vm.ID) (Stats, error)

	// BaseImages returns the paths of the base images that disks here, those
	// in the trash too, are made over. It works without the hypervisor's
	// daemon.
	BaseImages(ctx context.Context) ([]string, error)

	// Host tells what the driver found at its start.
	Host(ctx context.Context) (Host, error)
}

// Disks makes and removes VMs' disks, each by its VM and its name. It works without the hypervisor's daemon, except for
// resizing a disk of a running VM. Only the disk named RootDisk is attached to a VM so far.
type Disks interface {
	// CreateDisk makes an encrypted disk over its base image. A disk that exists is kept as it is, whatever its size or
	// key. ErrInvalid, ErrNoSpace.
	CreateDisk(ctx context.Context, d Disk) error

	// HasDisk tells whether the disk exists (not counting the trash).
	HasDisk(ctx context.Context, id DiskID) (bool, error)

	// ResizeDisk grows the disk to size bytes, which a running guest sees at once; it grows its filesystem itself. A
	// smaller size is ErrInvalid, the same size does nothing. The key is needed for a disk that is not in use.
	ResizeDisk(ctx context.Context, id DiskID, size uint64, key DiskKey) error

	// TrashDisk moves the disk of a VM without a process to the trash; ErrState while it has one. No disk is no error.
	TrashDisk(ctx context.Context, id DiskID) error

	// RestoreDisk takes the newest disk of that VM and name back out of the trash. ErrNoDisk if there is none, ErrState if
	// there is such a disk again.
	RestoreDisk(ctx context.Context, id DiskID) error

	// Space tells what the disks take and leave of the filesystem that they are on.
	Space(ctx context.Context) (Space, error)

	// Discard deletes what Space told of the trash. What is gone already is no error.
	Discard(ctx context.Context, t Trashed) error
}

// ConsoleLogBytes is how much of the serial console's output is returned.
const ConsoleLogBytes = 1 << 20

// Console reaches a VM's serial console. It works without the
// hypervisor's daemon.
type Console interface {
	// DialConsole attaches to the console of a VM with a process, one
	// client at a time: ErrBusy. Closing detaches; ctx bounds only the dial.
	DialConsole(ctx context.Context, id vm.ID) (io.ReadWriteCloser, error)

	// ConsoleLog returns the last ConsoleLogBytes of output, over all boots
	// since the VM was defined. Empty before the first.
	ConsoleLog(ctx context.Context, id vm.ID) ([]byte, error)
}

// ChannelName is the virtio-serial port the guest's agent opens, under
// /dev/virtio-ports.
const ChannelName = "org.hippius.guest.0"

// Channel reaches the agent inside the guest, without any network. It works
// without the hypervisor's daemon.
type Channel interface {
	// DialChannel attaches to the host's end of the channel of a VM with
	// a process, one client at a time: ErrBusy. Nothing is told of whether
	// the guest listens. What the guest wrote while nobody was attached is
	// mostly lost, but a little may arrive late: judge freshness by content.
	// Closing detaches; ctx bounds only the dial.
	DialChannel(ctx context.Context, id vm.ID) (net.Conn, error)
}

// Events tells that something changed.
type Events interface {
	// Events delivers ids of VMs whose state may have changed, until ctx
	// ends and the channel is closed. An event may be lost, late or without
	// cause: it says only that looking now is worth it. "" means any VM.
	Events(ctx context.Context) <-chan vm.ID
}
