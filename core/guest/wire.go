package guest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// The channel carries one JSON object a line, so that a reader which joins in
// the middle, or follows a killed one, is in step again at the next newline.

// Bounds of one message, newline included, in bytes.
const (
	// MaxLine bounds what a guest says.
	MaxLine = 64 << 10
	// MaxLineToGuest bounds what a guest is told, from version 2 on: its lighthouses, and all certificates that its tenant revoked.
	MaxLineToGuest = 384 << 10
)

// ErrTooLong wraps what is said of a message that no line has room for; nothing of it was written.
var ErrTooLong = errors.New("channel message is too long")

// ToGuest is a message from the miner; at most one of Challenge, Mesh and Shutdown is set.
type ToGuest struct {
	Challenge *Challenge `json:"challenge,omitempty"`
	Mesh      *Mesh      `json:"mesh,omitempty"`
	Shutdown  *Shutdown  `json:"shutdown,omitempty"`
	// Protocol the miner speaks, with its first message.
	Protocol *Versions `json:"protocol,omitempty"`
	// UnixMilli is the miner's clock; the agent steps its own when it is over 2 s off.
	UnixMilli int64 `json:"unix_milli"`
}

// Challenge asks for a proof over a recent block.
type Challenge struct {
	Height int64  `json:"height"`
	Hash   []byte `json:"hash"`
}

// Shutdown asks for a clean power-off or reboot.
type Shutdown struct {
	Reboot bool `json:"reboot"`
}

// ToHost is a message from the guest. A host treats every field as hostile.
type ToHost struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Proof   *Proof   `json:"proof,omitempty"`
	Metrics *Metrics `json:"metrics,omitempty"`
}

// Hello opens each connection of the agent.
type Hello struct {
	AgentVersion string `json:"agent_version"`
	VMID         string `json:"vm_id"`
	Seq          uint32 `json:"seq"`
	// Protocol the agent speaks.
	Protocol *Versions `json:"protocol,omitempty"`
	// MeshUp is true once the mesh interface is up.
	MeshUp bool `json:"mesh_up"`
	// Error says what keeps the agent from being ready; empty when nothing does.
	Error string `json:"error,omitempty"`
}

// Proof answers a Challenge: the instance's guest key signed it.
type Proof struct {
	Height    int64  `json:"height"`
	Signature []byte `json:"signature"`
}

// Metrics of the guest, since its start where they count.
type Metrics struct {
	CPUMilli       uint64 `json:"cpu_milli"`
	MemoryUsedKiB  uint64 `json:"memory_used_kib"`
	MemoryTotalKiB uint64 `json:"memory_total_kib"`
	RootUsedKiB    uint64 `json:"root_used_kib"`
	RootTotalKiB   uint64 `json:"root_total_kib"`
	RxBytes        uint64 `json:"rx_bytes"`
	TxBytes        uint64 `json:"tx_bytes"`
}

// WriteMessage writes m, a ToGuest or a ToHost, as one line within the bound of its direction, ErrTooLong if it does not fit. It blocks
// as w does.
func WriteMessage(w io.Writer, m any) error {
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode channel message: %w", err)
	}
	line = append(line, '\n')
	limit := MaxLine
	if _, ok := m.(ToGuest); ok {
		limit = MaxLineToGuest
	}
	if len(line) > limit {
		return fmt.Errorf("%w: %d bytes; at most %d fit", ErrTooLong, len(line), limit)
	}
	if _, err := w.Write(line); err != nil {
		return fmt.Errorf("write channel message: %w", err)
	}
	return nil
}

// Reader reads messages and steps over what is none.
type Reader struct {
	r       *bufio.Reader
	skipped uint64
}

// NewReader reads what a guest says from r, with a bounded buffer.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, MaxLine)}
}

// NewGuestReader reads what a guest is told from r, with a bounded buffer.
func NewGuestReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, MaxLineToGuest)}
}

// Skipped counts the lines that were too long or no message.
func (r *Reader) Skipped() uint64 { return r.skipped }

// Next reads the next well-formed message into m, a pointer, skipping garbage,
// of which nothing is left in m; nor is anything of what m held before. It
// blocks until one arrives or the stream ends, whose error it returns.
func (r *Reader) Next(m any) error {
	to := reflect.ValueOf(m)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return fmt.Errorf("read channel message: into %T, want a pointer", m)
	}
	for {
		line, err := r.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			r.skipped++
			if err := r.discardLine(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		// A failed attempt may leave fields half set: each has its own value.
		fresh := reflect.New(to.Type().Elem())
		if err := json.Unmarshal(line, fresh.Interface()); err != nil {
			r.skipped++
			continue
		}
		to.Elem().Set(fresh.Elem())
		return nil
	}
}

func (r *Reader) discardLine() error {
	for {
		_, err := r.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return err
	}
}
