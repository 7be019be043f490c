package seed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
)

// ErrNotTmpfs says that the folder for seeds lies on a disk.
var ErrNotTmpfs = errors.New("seeds hold secrets and belong on a tmpfs")

// ErrNoSpace says that the folder for seeds is full.
var ErrNoSpace = errors.New("no space left for seeds")

// Config of a Store.
type Config struct {
	// Dir holds the images. It is made if absent, and must be on a tmpfs, also later: nothing is written to any other.
	Dir string
	// Prepare is called when Dir is not on a tmpfs any more, to mount one; nil for nobody.
	Prepare func() error
	// Group that may read them, the hypervisor's; -1 leaves the process's own.
	Group int
	// AnyFilesystem allows a disk: for tests and networks without secrets.
	AnyFilesystem bool
}

// Store keeps seeds where the hypervisor finds them.
type Store struct {
	c Config
	// preparing is held while the folder is made anew.
	preparing sync.Mutex
}

const (
	suffix      = ".iso"
	tempPattern = ".new-*"
	seedMode    = 0o640
	dirMode     = 0o750
)

// NewStore opens the folder.
func NewStore(c Config) (*Store, error) {
	s := &Store{c: c}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("seed folder: %w", err)
	}
	// What a crash left half-written is of no use to anyone.
	left, err := filepath.Glob(filepath.Join(c.Dir, tempPattern))
	if err != nil {
		return nil, fmt.Errorf("seed folder: %w", err)
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("seed folder: %w", err)
		}
	}
	return s, nil
}

// open makes the folder as it should be, whatever it was made with, and by whom.
func (s *Store) open() error {
	if err := os.MkdirAll(s.c.Dir, dirMode); err != nil {
		return err
	}
	d, err := os.Open(s.c.Dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only looked at
	if err := s.holds(d); err != nil {
		return err
	}
	if s.c.Group >= 0 {
		if err := d.Chown(-1, s.c.Group); err != nil {
			return err
		}
	}
	return d.Chmod(dirMode)
}

// holds says that secrets may be where f is: what that is under the path may have changed since, as when somebody unmounts it.
func (s *Store) holds(f *os.File) error {
	var fsInfo unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fsInfo); err != nil { //nolint:gosec // file descriptors are small
		return err
	}
	if onTmpfs := fsInfo.Type == unix.TMPFS_MAGIC || fsInfo.Type == unix.RAMFS_MAGIC; !onTmpfs && !s.c.AnyFilesystem {
		return fmt.Errorf("%s: %w", s.c.Dir, ErrNotTmpfs)
	}
	return nil
}

func (s *Store) path(id vm.ID) string { return filepath.Join(s.c.Dir, string(id)+suffix) }

// Put writes the seed of a VM, in place of an earlier one, and returns its path.
func (s *Store) Put(v Seed) (string, error) {
	image, err := Build(v)
	if err != nil {
		return "", err
	}
	err = s.write(s.path(v.VMID), image)
	if s.c.Prepare != nil && unprepared(err) {
		err = s.prepareAndWrite(s.path(v.VMID), image)
	}
	if err != nil {
		return "", fmt.Errorf("write seed of VM %s: %w", v.VMID, err)
	}
	return s.path(v.VMID), nil
}

func unprepared(err error) bool { return errors.Is(err, ErrNotTmpfs) || errors.Is(err, fs.ErrNotExist) }

// prepareAndWrite has the folder made anew, unless another did meanwhile: a tmpfs over a tmpfs would hide what is in that.
func (s *Store) prepareAndWrite(path string, image []byte) error {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	err := s.write(path, image)
	if !unprepared(err) {
		return err
	}
	if err := s.c.Prepare(); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	return s.write(path, image)
}

// Remove deletes the seed of a VM, if there is one.
func (s *Store) Remove(id vm.ID) error {
	if _, err := vm.ParseID(string(id)); err != nil {
		return fmt.Errorf("remove seed: %w", err)
	}
	if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove seed of VM %s: %w", id, err)
	}
	return fault.Point("seed.removed")
}

// List gives the VMs that have a seed. Files with other names are not seeds.
func (s *Store) List() ([]vm.ID, error) {
	entries, err := os.ReadDir(s.c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it is made anew with the next seed
	}
	if err != nil {
		return nil, fmt.Errorf("list seeds: %w", err)
	}
	var ids []vm.ID
	for _, e := range entries {
		name, isISO := strings.CutSuffix(e.Name(), suffix)
		if id, err := vm.ParseID(name); isISO && err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// AgentISO makes the shared CD with the agent at agentPath and the script that
// installs it, in dir, and returns its path, which follows from its content. It
// holds no secret; dir may be on a disk and must be reachable by the hypervisor.
func AgentISO(dir, agentPath string, installScript []byte) (string, error) {
	agent, err := os.ReadFile(agentPath)
	if err != nil {
		return "", fmt.Errorf("agent's CD: %w", err)
	}
	var b bytes.Buffer
	err = WriteISO(&b, wire.AgentLabel, []File{
		{Name: wire.AgentFile, Data: agent, Executable: true},
		{Name: wire.InstallFile, Data: installScript, Executable: true},
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b.Bytes())
	path := filepath.Join(dir, "agent-"+hex.EncodeToString(sum[:8])+suffix)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(b.Len()) {
		return path, nil // renamed into place whole
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("agent's CD: %w", err)
	}
	s := Store{c: Config{Dir: dir, Group: -1, AnyFilesystem: true}}
	if err := s.write(path, b.Bytes()); err != nil {
		return "", fmt.Errorf("agent's CD: %w", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		return "", fmt.Errorf("agent's CD: %w", err)
	}
	return path, nil
}

// write puts a file in place whole, readable by the group. Its temporary name
// has no suffix that List would take for a seed.
func (s *Store) write(path string, data []byte) (err error) {
	f, err := os.CreateTemp(s.c.Dir, tempPattern)
	if err != nil {
		return spaceError(err)
	}
	defer func() {
		if err != nil {
			err = spaceError(errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if err = s.holds(f); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Chmod(seedMode)
	}
	if err == nil && s.c.Group >= 0 {
		err = f.Chown(-1, s.c.Group)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fault.Point("seed.written"); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return fault.Point("seed.named")
}

func spaceError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
