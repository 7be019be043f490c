// Package undo takes back, in reverse, the steps of a function that fails half way:
//
//	func attach(ctx context.Context) (err error) {
//		var u undo.Stack
//		defer u.Fail(ctx, &err)
//		…
//		u.Add("remove tap", func(ctx context.Context) error { return removeTap(ctx) })
//		…
//		u.Success()
//		return nil
//	}
//
// It forgets with the process. What must be taken back after a crash needs a record on disk.
package undo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// stepTimeout bounds each step that takes something back.
const stepTimeout = 30 * time.Second

// Stack is the steps to take back. The zero value is ready. It is for one goroutine.
type Stack struct {
	steps []step
}

type step struct {
	name string
	fn   func(context.Context) error
}

// Add notes how to take back what was just done.
func (s *Stack) Add(name string, fn func(context.Context) error) {
	s.steps = append(s.steps, step{name, fn})
}

// Success forgets the steps: what was done stays.
func (s *Stack) Success() { s.steps = nil }

// Fail takes back every step, the last first, and joins what went wrong in that to *err. Defer it. After Success it
// does nothing. The steps run although ctx has ended, which is often why; each has 30 s. A step that panics does not
// keep the others from running.
func (s *Stack) Fail(ctx context.Context, err *error) {
	ctx = context.WithoutCancel(ctx)
	for len(s.steps) > 0 {
		last := s.steps[len(s.steps)-1]
		s.steps = s.steps[:len(s.steps)-1]
		if e := last.run(ctx); e != nil {
			*err = errors.Join(*err, fmt.Errorf("undo: %s: %w", last.name, e))
		}
	}
}

func (s step) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return s.fn(ctx)
}
