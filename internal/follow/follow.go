// Package follow keeps a program in step with a list of changes that is kept elsewhere, such as a chain's, by a
// cursor: where in the list the program has come to.
package follow

import (
	"context"
	"time"
)

// maxBackoff is the longest pause after failures, in intervals.
const maxBackoff = 16

// Config of a Follower. Fetch, Apply and Every are required.
type Config[Cursor, Batch any] struct {
	// Start is the cursor that was kept with the last batch applied; the zero value for none.
	Start Cursor
	// Fetch gives what came after a cursor, and the cursor that follows it. It changes nothing.
	Fetch func(ctx context.Context, after Cursor) (Batch, Cursor, error)
	// Apply makes a batch's effects and next durable in one transaction: after a crash the program starts with both
	// or with neither. After an error the follower fetches from the same cursor again.
	Apply func(ctx context.Context, batch Batch, next Cursor) error
	// Every is the pause between two steps. Each failure in a row doubles it, up to MaxPause.
	Every time.Duration
	// MaxPause is 16 × Every if it is zero; Every for no backoff.
	MaxPause time.Duration
	// Poke has the next step taken at once; nil for never.
	Poke <-chan struct{}
	// Failed hears of each error, except of those by which Run ends; nil for nobody.
	Failed func(error)
}

// Follower takes one step after the other. One goroutine may use it at a time.
type Follower[Cursor, Batch any] struct {
	c      Config[Cursor, Batch]
	cursor Cursor
}

// New prepares a follower; it does nothing yet.
func New[Cursor, Batch any](c Config[Cursor, Batch]) *Follower[Cursor, Batch] {
	if c.MaxPause <= 0 {
		c.MaxPause = maxBackoff * c.Every
	}
	if c.Failed == nil {
		c.Failed = func(error) {}
	}
	return &Follower[Cursor, Batch]{c: c, cursor: c.Start}
}

// Step fetches what came after the cursor and applies it. The cursor moves on only if both succeed.
func (f *Follower[Cursor, Batch]) Step(ctx context.Context) error {
	batch, next, err := f.c.Fetch(ctx, f.cursor)
	if err != nil {
		return err
	}
	if err := f.c.Apply(ctx, batch, next); err != nil {
		return err
	}
	f.cursor = next
	return nil
}

// Run steps at once and then again and again, until ctx ends, which is no error.
func (f *Follower[Cursor, Batch]) Run(ctx context.Context) error {
	for pause := f.c.Every; ctx.Err() == nil; {
		switch err := f.Step(ctx); {
		case err == nil:
			pause = f.c.Every
		case ctx.Err() == nil:
			f.c.Failed(err)
			pause = min(2*pause, f.c.MaxPause)
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-f.c.Poke:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}
