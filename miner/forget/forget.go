// Package forget passes an operator's order to forget a VM from the command line to the agent, through a folder: the agent
// has its database locked while it runs, and an order is to outlast restarts of both.
package forget

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/privatefile"
)

const (
	// maxOrders bounds the orders that are read at once. The folder is root's alone.
	maxOrders = 1024
	// maxReason bounds what is read of why an order was refused, in bytes.
	maxReason = 4096
	refused   = ".refused"
)

// ErrRefused says that the agent keeps a VM.
var ErrRefused = errors.New("the miner keeps the VM")

// Orders are kept in a folder, one file for each, named after the VM. They are safe for concurrent use, also by several processes.
type Orders struct{ dir string }

// New has its orders in dir, which is made with the first.
func New(dir string) *Orders { return &Orders{dir: dir} }

// Give orders that a VM be forgotten. To give an order again is no error.
func (o *Orders) Give(id vm.ID) error {
	if _, err := vm.ParseID(string(id)); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fmt.Errorf("order to forget VM %s: %w", id, err)
	}
	if err := os.Remove(o.path(id) + refused); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("order to forget VM %s: %w", id, err)
	}
	if err := privatefile.Replace(o.path(id), []byte("forget\n")); err != nil {
		return fmt.Errorf("order to forget VM %s: %w", id, err)
	}
	return nil
}

// Given tells whether a VM is to be forgotten.
func (o *Orders) Given(id vm.ID) bool {
	_, err := os.Lstat(o.path(id))
	return err == nil
}

// All are the VMs to be forgotten, at most 1024 of them.
func (o *Orders) All() ([]vm.ID, error) {
	d, err := os.Open(o.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("orders to forget VMs: %w", err)
	}
	defer d.Close() //nolint:errcheck // only read from
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("orders to forget VMs: %w", err)
	}
	var ids []vm.ID
	for _, name := range names {
		if id, err := vm.ParseID(name); err == nil && len(ids) < maxOrders {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Done takes an order back that was carried out, or is of a VM of which there is nothing.
func (o *Orders) Done(id vm.ID) error {
	if err := os.Remove(o.path(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("order to forget VM %s: %w", id, err)
	}
	return nil
}

// Refuse takes an order back that is not carried out, and keeps the reason for who gave it.
func (o *Orders) Refuse(id vm.ID, reason string) error {
	if err := privatefile.Replace(o.path(id)+refused, []byte(reason)); err != nil {
		return fmt.Errorf("order to forget VM %s: %w", id, err)
	}
	return o.Done(id)
}

// Answer tells whether an order was answered: with an error that wraps ErrRefused if it was refused, which is then
// forgotten, too.
func (o *Orders) Answer(id vm.ID) (answered bool, err error) {
	if o.Given(id) {
		return false, nil
	}
	path := o.path(id) + refused
	reason, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return true, fmt.Errorf("order to forget VM %s: %w", id, err)
	}
	text := strings.TrimSpace(string(reason[:min(len(reason), maxReason)]))
	return true, errors.Join(fmt.Errorf("%w: %s", ErrRefused, text), os.Remove(path))
}

func (o *Orders) path(id vm.ID) string { return filepath.Join(o.dir, string(id)) }
