package observe

import (
	"fmt"
	"io"
	"log/slog"
)

// Log formats.
const (
	// Text is a line of key=value pairs for each record.
	Text = "text"
	// JSON is an object on a line of its own for each record, for programs that read logs.
	JSON = "json"
)

// Logger writes records from a level on (debug, info, warn or error) in a format (text or json).
func Logger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: accepted are debug, info, warn and error", level)
	}
	set := &slog.HandlerOptions{Level: l}
	switch format {
	case Text:
		return slog.New(slog.NewTextHandler(w, set)), nil
	case JSON:
		return slog.New(slog.NewJSONHandler(w, set)), nil
	}
	return nil, fmt.Errorf("log format %q: accepted are %s and %s", format, Text, JSON)
}
