package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/miner/hypervisor"
)

// lastSeen is what was last seen of a VM.
type lastSeen struct {
	State hypervisor.State       `json:"state"`
	Stop  hypervisor.StopReason  `json:"stop,omitempty"`
	Pause hypervisor.PauseReason `json:"pause,omitempty"`
	PID   int                    `json:"pid,omitempty"`
	Since time.Time              `json:"since"`
}

// ending says who asked a VM's process to end.
type ending int

const (
	endedUnseen ending = iota
	endedByGuest
	endedByHost // a signal to QEMU, as when the host shuts down
)

// journal remembers what libvirtd forgets at its restart: how VMs ended,
// and since when they are as they are.
type journal struct {
	dir string // one folder for each VM

	mu      sync.Mutex
	seen    map[vm.ID]lastSeen // what the files hold, or would, on a full disk
	endings map[vm.ID]ending
	told    map[vm.ID]chan struct{} // closed when the ending is known
	follows bool                    // events come in
}

func (j *journal) path(id vm.ID) string { return filepath.Join(j.dir, string(id), "seen.json") }

// last returns what was seen last. j.mu is held.
func (j *journal) last(id vm.ID) lastSeen {
	if m, ok := j.seen[id]; ok {
		return m
	}
	var m lastSeen
	text, err := os.ReadFile(j.path(id))
	if err != nil || json.Unmarshal(text, &m) != nil {
		return lastSeen{} // nothing yet, or torn by a crash
	}
	return m
}

// note merges what is seen now with what was seen last, and keeps it. When it
// cannot be written it is kept in memory, and the error is for the log.
func (j *journal) note(id vm.ID, now lastSeen) (lastSeen, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := j.last(id)
	if now.Stop == hypervisor.StopUnknown {
		switch {
		case last.State == "":
			now.Stop = hypervisor.StopNone // it never ran
		case !last.State.Alive():
			now.State, now.Stop = last.State, last.Stop
		}
	}
	if now.State == last.State && now.Stop == last.Stop && now.Pause == last.Pause && now.PID == last.PID {
		return last, nil
	}
	if now.Since.IsZero() || last.PID == now.PID {
		now.Since = time.Now().UTC().Round(0)
	}
	if j.seen == nil {
		j.seen = make(map[vm.ID]lastSeen)
	}
	j.seen[id] = now
	return now, j.write(id, now)
}

func (j *journal) write(id vm.ID, m lastSeen) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("remember vm %s: %w", id, err)
	}
	path := j.path(id)
	if err := os.WriteFile(path+".tmp", text, 0o600); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("remember vm %s: %w", id, err)
	}
	if err := fault.Point("libvirt.seen_written"); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("remember vm %s: %w", id, err)
	}
	return nil
}

// follow says whether events come in from now on.
func (j *journal) follow(yes bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follows = yes
}

// forget drops all memory of a VM that is no more.
func (j *journal) forget(id vm.ID) {
	j.begins(id)
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.seen, id)
}

// begins forgets how the VM ended before.
func (j *journal) begins(id vm.ID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.endings, id)
	delete(j.told, id)
}

// ends records who ended the VM.
func (j *journal) ends(id vm.ID, who ending) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.endings == nil {
		j.endings = make(map[vm.ID]ending)
	}
	j.endings[id] = who
	if ch := j.told[id]; ch != nil {
		close(ch)
		delete(j.told, id)
	}
}

// whoEnded corrects a clean end: libvirt's state does not tell a guest that
// powered off from a QEMU that was told to go by a signal, only its events do.
// They come before the state changes, but through another goroutine, so this
// waits briefly for them.
func (j *journal) whoEnded(ctx context.Context, id vm.ID, now lastSeen) lastSeen {
	j.mu.Lock()
	who, known := j.endings[id]
	if last := j.last(id); last.State != "" && !last.State.Alive() {
		j.mu.Unlock()
		now.State, now.Stop = last.State, last.Stop // judged before
		return now
	}
	if !known && j.follows {
		if j.told == nil {
			j.told = make(map[vm.ID]chan struct{})
		}
		ch := j.told[id]
		if ch == nil {
			ch = make(chan struct{})
			j.told[id] = ch
		}
		j.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		j.mu.Lock()
		who = j.endings[id]
	}
	j.mu.Unlock()
	if who == endedByHost {
		now.State, now.Stop = hypervisor.StateCrashed, hypervisor.StopProcessDied
	}
	return now
}
