package network

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestWaitEndsWithContext has every call that waits for a long change give up with its context.
func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	n := &Network{mu: newMutex()}
	n.mu.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for what, call := range map[string]func() error{
		"Ensure": func() error {
			_, err := n.Ensure(ctx, Attachment{VM: strings.Repeat("a", 32), Tenant: "b", BitsPerSec: 1e6})
			return err
		},
		"Remove":    func() error { return n.Remove(ctx, "a") },
		"List":      func() error { _, err := n.List(ctx); return err },
		"Dropped":   func() error { _, err := n.Dropped(ctx, ""); return err },
		"Teardown":  func() error { return n.Teardown(ctx) },
		"guardOnce": func() error { _, err := n.guardOnce(ctx, time.Now()); return err },
	} {
		done := make(chan error, 1)
		go func() { done <- call() }()
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s ends with %v, want its context's error", what, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s waits past its deadline", what)
		}
	}
}
