package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/store/v2/snapshots"
	snapshottypes "github.com/cosmos/cosmos-sdk/store/v2/snapshots/types"
)

const snapshotDir = "data/snapshots"

// snapshotter takes snapshots of the state, one at a time. The SDK would take them in goroutines that nobody waits for.
type snapshotter struct {
	store    *snapshots.Store
	db       dbm.DB
	interval uint64
	kept     uint32
	manager  *snapshots.Manager
	log      *slog.Logger

	running sync.WaitGroup
	busy    chan struct{}
}

func openSnapshots(c *Config, log *slog.Logger) (*snapshotter, error) {
	dir := filepath.Join(c.Home, snapshotDir)
	db, err := dbm.NewGoLevelDB("metadata", dir, nil)
	if err != nil {
		return nil, fmt.Errorf("open the snapshots: %w", err)
	}
	store, err := snapshots.NewStore(db, dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the snapshots: %w", err), db.Close())
	}
	return &snapshotter{store: store, db: db, interval: c.SnapshotInterval, kept: c.SnapshotsKept, log: log, busy: make(chan struct{}, 1)}, nil
}

// options leave the time of a snapshot to the snapshotter.
func (s *snapshotter) options() snapshottypes.SnapshotOptions {
	return snapshottypes.NewSnapshotOptions(0, s.kept)
}

// committed takes a snapshot if one is due at the height, and does not wait for it. One that is due while another is
// still being taken is left out.
func (s *snapshotter) committed(height int64) {
	if s.interval == 0 || uint64(height)%s.interval != 0 {
		return
	}
	select {
	case s.busy <- struct{}{}:
	default:
		s.log.Warn("snapshot left out: the one before is not done", "height", height)
		return
	}
	s.running.Go(func() {
		defer func() { <-s.busy }()
		if err := s.take(height); err != nil {
			s.log.Error("take snapshot", "height", height, "error", err)
		}
	})
}

func (s *snapshotter) take(height int64) error {
	if _, err := s.manager.Create(uint64(height)); err != nil {
		return err
	}
	if _, err := s.manager.Prune(s.kept); err != nil {
		return fmt.Errorf("forget old snapshots: %w", err)
	}
	return nil
}

// close waits for a snapshot that is being taken.
func (s *snapshotter) close(context.Context) error {
	s.running.Wait()
	return s.db.Close()
}
