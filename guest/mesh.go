package guest

import (
	"context"
	"errors"
	"reflect"
	"time"

	wire "github.com/hippius/compute/core/guest"
)

var errMeshStopped = errors.New("the mesh stopped")

// keepMesh joins the mesh and stays in it: what fails or ends is tried again,
// at once when the miner sent other lighthouses or the clock was stepped.
func (a *Agent) keepMesh(ctx context.Context, cfg wire.Config) error {
	if a.c.Join == nil {
		return nil
	}
	pause := a.c.Pause
	for {
		began := time.Now()
		err := a.beMember(ctx, cfg)
		a.setMesh(false, err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.c.Log.Warn("mesh is down, will try again", "error", err)
		if time.Since(began) > 30*a.c.Pause {
			pause = a.c.Pause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.updates: // beMember reads the newest itself
		case <-a.poke:
		case <-time.After(pause):
		}
		pause = min(2*pause, 30*a.c.Pause)
	}
}

// beMember is in the mesh until ctx ends or the member stops; it says why.
func (a *Agent) beMember(ctx context.Context, cfg wire.Config) error {
	a.mu.Lock()
	if a.mesh != nil {
		cfg.Mesh = *a.mesh
	}
	a.mu.Unlock()
	m, err := a.c.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if err := m.Close(); err != nil {
			a.c.Log.Warn("close mesh", "error", err)
		}
	}()
	told := cfg.Mesh
	a.setMesh(true, nil)
	a.c.Log.Info("mesh is up", "interface", TunName)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.Done():
			return errMeshStopped
		case <-a.poke:
		case next := <-a.updates:
			if reflect.DeepEqual(next, told) {
				continue // the miner says on each connection what the seed said
			}
			err := m.Update(next)
			a.problem("mesh", err)
			if err != nil {
				a.c.Log.Error("update mesh", "error", err)
				continue
			}
			told = next
			a.c.Log.Info("mesh updated", "lighthouses", len(next.Lighthouses), "blocklist", len(next.Blocklist))
		}
	}
}

func (a *Agent) setMesh(up bool, err error) {
	a.mu.Lock()
	a.meshUp = up
	a.mu.Unlock()
	a.problem("mesh", err)
}
