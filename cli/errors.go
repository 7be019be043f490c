package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// hintError is an error with what to do about it.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds a line that says what to do.
func withHint(err error, format string, args ...any) error {
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// usageError is a wrong call: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// statusError carries the exit status of a program run for the tenant, such as ssh.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func exitCode(ctx context.Context, w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		_, _ = fmt.Fprintln(w, "interrupted")
		return 130
	}
	_, _ = fmt.Fprintf(w, "error: %s\n", err)
	if h, ok := errors.AsType[*hintError](err); ok {
		_, _ = fmt.Fprintf(w, "hint: %s\n", h.hint)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}
