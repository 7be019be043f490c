package hypervisor

import (
	"errors"
	"time"

	"github.com/hippius/compute/core/vm"
)

// State is what a VM is doing. The set is closed.
//
//	          Define          Start              Suspend
//	absent ──────────▶ stopped ─────▶ running ◀──────────▶ paused
//	   ▲                  ▲             │  │     Resume       │
//	   │ Destroy          └─────────────┘  └──── process ─────┤
//	   └───── from any       Shutdown,           died         │
//	                         power-off             ▼          │
//	                                            crashed ◀─────┘
//
// A crashed VM starts like a stopped one.
type State string

// The states.
const (
	StateAbsent  State = "absent"  // not defined here
	StateStopped State = "stopped" // defined, not running, on request
	StateRunning State = "running" // has a process and its CPUs run
	StatePaused  State = "paused"  // has a process, its CPUs do not run
	StateCrashed State = "crashed" // not running, without a request
)

// Alive reports whether the VM has a process.
func (s State) Alive() bool { return s == StateRunning || s == StatePaused }

// StopReason says why a VM does not run. It tells a guest's own clean
// power-off, which ends at the tenant's request, from the host's failure, which
// the agent repairs.
type StopReason string

// The reasons.
const (
	StopNone        StopReason = ""                  // it runs, or never has
	StopGuest       StopReason = "guest_shutdown"    // the guest powered itself off, asked or not
	StopForced      StopReason = "forced"            // ended from outside without the guest
	StopProcessDied StopReason = "host_process_died" // the hypervisor's process vanished
	StopStartFailed StopReason = "start_failed"      // never came up
	StopUnknown     StopReason = "unknown"           // nobody was there to see (host restart)
)

// PauseReason says why a VM is paused.
type PauseReason string

// The reasons.
const (
	PauseNone      PauseReason = ""
	PauseRequested PauseReason = "requested" // Suspend
	PauseNoSpace   PauseReason = "no_space"  // the host's disk is full; Resume after making room
	PauseIOError   PauseReason = "io_error"  // the host's disk failed
	PauseOther     PauseReason = "other"
)

// Manner says how a VM was brought to stop or restart.
type Manner string

// The manners.
const (
	MannerNone   Manner = ""       // nothing had to be done
	MannerGuest  Manner = "guest"  // the guest complied
	MannerForced Manner = "forced" // the deadline passed and it was forced off
)

// Info is what a driver sees of a VM. In state absent only ID and State
// are set.
type Info struct {
	ID          vm.ID
	InstanceSeq uint32
	Generation  uint64
	Name        string

	State       State
	StopReason  StopReason  // when stopped or crashed
	PauseReason PauseReason // when paused
	PID         int         // of the hypervisor's process, 0 when there is none or it is not known
	Since       time.Time   // when the state was entered; zero if nobody saw

	Tap string
	MAC string
}

// Stats are counters of a running VM since its process started; for a
// VM without a process all but DiskAllocated are 0.
type Stats struct {
	CPUTime       time.Duration // of all vCPUs and the emulator
	MemoryBytes   uint64        // resident on the host
	DiskAllocated uint64        // bytes the disk takes on the host
	DiskReadOps   uint64
	DiskReadBytes uint64
	DiskWriteOps  uint64
	DiskWritten   uint64 // bytes
	NetReceived   uint64 // bytes, by the guest
	NetSent       uint64 // bytes, by the guest
}

// Acceleration says how guests' instructions run.
type Acceleration string

// The accelerations.
const (
	AccelKVM Acceleration = "kvm"
	AccelTCG Acceleration = "tcg" // emulated: correct, ten or more times slower
)

// Host is what the driver knows of the host under it.
type Host struct {
	Acceleration Acceleration
	Evidence     string // why that acceleration, a sentence for the operator
	Hypervisor   string // name and version
	// OverheadMiB is what a VM may take of the host's memory beyond its
	// own: count it when deciding what fits.
	OverheadMiB uint64
}

// Errors a caller may act upon; test with errors.Is.
var (
	ErrInvalid        = errors.New("invalid VM")
	ErrNotFound       = errors.New("no such VM")
	ErrState          = errors.New("not possible in this state")
	ErrHypervisorDown = errors.New("hypervisor is not reachable")
	ErrNoSpace        = errors.New("no space left on the host's disk")
	ErrNoDisk         = errors.New("the VM has no disk")
	ErrWrongKey       = errors.New("disk key does not open the disk")
	ErrBusy           = errors.New("already in use")
)
