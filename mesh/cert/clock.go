package cert

import (
	"errors"
	"fmt"
	"time"
)

// Errors of a certificate outside its validity, always inside a [ClockError].
var (
	ErrNotYetValid = errors.New("certificate is not valid yet")
	ErrExpired     = errors.New("certificate has expired")
)

// ClockError says that a certificate is not valid by the clock of
// this host or VM, and names both times: where either is newly installed, the
// clock is the likelier cause.
type ClockError struct {
	Name  string
	Now   time.Time
	Bound time.Time
	Kind  error // ErrNotYetValid or ErrExpired
}

func (e *ClockError) Error() string {
	word := "since"
	if errors.Is(e.Kind, ErrNotYetValid) {
		word = "before"
	}
	return fmt.Sprintf("%v: %q, %s %s, and the local clock says %s: renew the certificate or correct the clock",
		e.Kind, e.Name, word, e.Bound.Format(time.RFC3339), e.Now.Format(time.RFC3339))
}

// Unwrap gives the kind.
func (e *ClockError) Unwrap() error { return e.Kind }
