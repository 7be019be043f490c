package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// record is what stays of a VM over a restart of the agent.
type record struct {
	Definition hypervisor.Definition
	State      hypervisor.State
	Stop       hypervisor.StopReason
	Pause      hypervisor.PauseReason
	PID        int
	Since      time.Time
}

func (r record) info() hypervisor.Info {
	info := hypervisor.Info{
		ID: r.Definition.ID, InstanceSeq: r.Definition.InstanceSeq, Generation: r.Definition.Generation, Name: r.Definition.Name,
		State: r.State, StopReason: r.Stop, PauseReason: r.Pause, PID: r.PID, Since: r.Since,
		Tap: r.Definition.Tap, MAC: r.Definition.MAC,
	}
	return info
}

const recordSuffix = ".vm.json"

func (d *Driver) path(id vm.ID, suffix string) string {
	return filepath.Join(d.cfg.Dir, string(id)+suffix)
}

// save writes m's record. d.mu is held.
func (d *Driver) save(m *entry) error {
	return writeJSON(d.path(m.Definition.ID, recordSuffix), m.record)
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	if err := os.WriteFile(path+".tmp", text, 0o600); err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	return nil
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("fake hypervisor: %s: %w", path, err)
	}
	return nil
}

// load reads every record and gives those with a process a life again.
func (d *Driver) load() error {
	entries, err := os.ReadDir(d.cfg.Dir)
	if err != nil {
		return fmt.Errorf("fake hypervisor: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), recordSuffix) {
			continue
		}
		m := &entry{}
		if err := readJSON(filepath.Join(d.cfg.Dir, e.Name()), &m.record); err != nil {
			return err
		}
		d.vms[m.Definition.ID] = m
		d.lastPID = max(d.lastPID, m.PID)
		if m.State.Alive() {
			m.life = d.begin(m.Definition, adopted)
			m.life.pause(m.State == hypervisor.StatePaused)
		}
	}
	return nil
}

// forget removes m's record and log. d.mu is held.
func (d *Driver) forget(id vm.ID) error {
	delete(d.vms, id)
	for _, suffix := range []string{logSuffix, recordSuffix} {
		if err := os.Remove(d.path(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("fake hypervisor: %w", err)
		}
	}
	return nil
}

// now is the time as a file can hold it.
func now() time.Time { return time.Now().UTC().Round(0) }
