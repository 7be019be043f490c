package image

import (
	"context"
	"errors"
	"io"
	"time"
)

var errStalled = errors.New("the download stalled")

// watchdog cancels a transfer that gives nothing for a while.
type watchdog struct {
	timer  *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
}

func newWatchdog(limit time.Duration, cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{timer: time.AfterFunc(limit, func() { cancel(errStalled) }), limit: limit, cancel: cancel}
}

func (w *watchdog) fed() { w.timer.Reset(w.limit) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watched feeds the watchdog with each read.
type watched struct {
	io.ReadCloser
	watch *watchdog
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.watch.fed()
	}
	return n, err
}

func (w *watched) Close() error {
	w.watch.stop()
	return w.ReadCloser.Close()
}
