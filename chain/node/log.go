package node

import (
	"context"
	"log/slog"
	"sync/atomic"

	"cosmossdk.io/log/v2"
	sdkslog "cosmossdk.io/log/v2/slog"
	cmtlog "github.com/cometbft/cometbft/libs/log"
)

// quiet is the log of CometBFT. What it calls information, several lines for
// each block, is of use only when looking for a fault, and once the node closes
// so are its errors.
type quiet struct {
	*slog.Logger

	closing *atomic.Bool
}

var _ cmtlog.Logger = quiet{}

// Info is logged as Debug.
func (q quiet) Info(msg string, keyvals ...any) {
	q.Debug(msg, keyvals...) //nolint:sloglint // passes on what others say
}

// Error is logged as Debug when the node closes.
func (q quiet) Error(msg string, keyvals ...any) {
	level := slog.LevelError
	if q.closing.Load() {
		level = slog.LevelDebug
	}
	q.Log(context.Background(), level, msg, keyvals...) //nolint:sloglint // passes on what others say
}

// With adds fields to each line.
func (q quiet) With(keyvals ...any) cmtlog.Logger {
	return quiet{q.Logger.With(keyvals...), q.closing}
}

// sdk is the log of the SDK, whose information is as chatty.
func (q quiet) sdk() log.Logger { return quietSDK{sdkslog.NewCustomLogger(q.Logger)} }

type quietSDK struct{ sdkslog.Logger }

// Info is logged as Debug.
func (q quietSDK) Info(msg string, keyvals ...any) {
	q.Debug(msg, keyvals...) //nolint:sloglint // passes on what others say
}

// InfoContext is logged as Debug.
func (q quietSDK) InfoContext(ctx context.Context, msg string, keyvals ...any) {
	q.DebugContext(ctx, msg, keyvals...) //nolint:sloglint // passes on what others say
}

// With adds fields to each line.
func (q quietSDK) With(keyvals ...any) log.Logger {
	return quietSDK{sdkslog.Logger{Logger: q.Logger.Logger.With(keyvals...)}}
}
