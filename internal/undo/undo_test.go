package undo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

var errStep = errors.New("step failed")

// work does n steps and fails at step failAt; undoing step bad fails and undoing step panics panics.
func work(ctx context.Context, n, failAt, bad, panics int, undone *[]int) (err error) {
	var u Stack
	defer u.Fail(ctx, &err)
	for i := range n {
		if i == failAt {
			return errStep
		}
		u.Add("step", func(ctx context.Context) error {
			*undone = append(*undone, i)
			switch i {
			case bad:
				return errors.New("cannot take back")
			case panics:
				panic("a defect")
			}
			return ctx.Err()
		})
	}
	u.Success()
	return nil
}

func TestFailAtEachStep(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel() // undoing works all the same
	for failAt := range 5 {
		var undone, want []int
		err := work(ended, 4, failAt, -1, -1, &undone)
		if failAt < 4 {
			for i := range failAt {
				want = append([]int{i}, want...)
			}
			if err != errStep { //nolint:errorlint // nothing may be joined to it
				t.Errorf("fail at %d: got %v", failAt, err)
			}
		} else if err != nil {
			t.Errorf("success: got %v", err)
		}
		if !slices.Equal(undone, want) {
			t.Errorf("fail at %d: undid %v, want %v", failAt, undone, want)
		}
	}
}

func TestUndoingGoesOnAfterFailure(t *testing.T) {
	var undone []int
	err := work(t.Context(), 5, 4, 2, 1, &undone)
	if !slices.Equal(undone, []int{3, 2, 1, 0}) {
		t.Errorf("undid %v, want all", undone)
	}
	if !errors.Is(err, errStep) || !strings.Contains(err.Error(), "cannot take back") || !strings.Contains(err.Error(), "a defect") {
		t.Errorf("got %v, want all three causes", err)
	}
}
