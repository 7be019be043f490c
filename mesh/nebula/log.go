package nebula

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatAfter is how long a warning or error of the library, once passed on,
// keeps its repetitions at debug level: any stranger's packet can cause one.
const repeatAfter = 10 * time.Second

// libraryLog passes the library's log on, under the group "nebula". Its
// informative lines, several for each handshake, become debug lines, and so do
// repetitions of its warnings and a few warnings about what is by design here.
type libraryLog struct {
	inner slog.Handler
	last  *lastPassed
}

// lastPassed is shared by a handler and all derived from it. Messages are
// constants of the library, so the map stays small.
type lastPassed struct {
	mu sync.Mutex
	at map[string]time.Time
}

func newLibraryLog(l *slog.Logger) *slog.Logger {
	return slog.New(libraryLog{
		inner: l.Handler().WithGroup("nebula"),
		last:  &lastPassed{at: map[string]time.Time{}},
	})
}

func quieter(level slog.Level) slog.Level {
	if level >= slog.LevelInfo && level < slog.LevelWarn {
		return slog.LevelDebug
	}
	return level
}

// byDesign lists warnings that describe how this network is meant to be:
// lighthouses live outside every tenant's network, and an unreachable address
// among several candidates is the normal case.
func byDesign(message string) bool {
	switch message {
	case "lighthouse host is not within our networks, lighthouse functionality will work but layer 3 network traffic to the lighthouse will not",
		"static_host_map key is not within our networks, layer 3 network traffic to this host will not work",
		"Failed to send handshake message":
		return true
	}
	return false
}

func (p *lastPassed) repeated(message string, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.at[message]; ok && at.Sub(last) < repeatAfter {
		return true
	}
	p.at[message] = at
	return false
}

func (h libraryLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, quieter(level))
}

func (h libraryLog) Handle(ctx context.Context, r slog.Record) error {
	r.Level = quieter(r.Level)
	if r.Level >= slog.LevelWarn && (byDesign(r.Message) || h.last.repeated(r.Message, r.Time)) {
		r.Level = slog.LevelDebug
	}
	if !h.inner.Enabled(ctx, r.Level) {
		return nil
	}
	return h.inner.Handle(ctx, r)
}

func (h libraryLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryLog{inner: h.inner.WithAttrs(attrs), last: h.last}
}

func (h libraryLog) WithGroup(name string) slog.Handler {
	return libraryLog{inner: h.inner.WithGroup(name), last: h.last}
}
