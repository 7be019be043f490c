// Package config reads a daemon's settings file: YAML (so JSON too), over defaults, with nothing in it ignored.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"

	"gopkg.in/yaml.v3"
)

// MaxSize bounds a settings file, in bytes.
const MaxSize = 1 << 20

// Load returns defaults with what the file at path says put over them. A key that T does not have is refused, so a
// typing error is not a silent default; so are a second document and a file over MaxSize. A list replaces the default
// list. If *T has a method Validate() error, it has the last word.
func Load[T any](path string, defaults T) (T, error) {
	var zero T
	f, err := os.Open(path)
	if err != nil {
		return zero, fmt.Errorf("read settings: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	cfg, err := Read(f, defaults)
	if err != nil {
		return zero, fmt.Errorf("settings in %s: %w", path, err)
	}
	return cfg, nil
}

// Read is Load from an open file.
func Read[T any](r io.Reader, defaults T) (T, error) {
	var zero T
	limited := &io.LimitedReader{R: r, N: MaxSize + 1}
	dec := yaml.NewDecoder(limited)
	dec.KnownFields(true)
	cfg := defaults
	err := dec.Decode(&cfg)
	if limited.N <= 0 {
		return zero, fmt.Errorf("longer than %d bytes", MaxSize)
	}
	if err != nil && !errors.Is(err, io.EOF) { // EOF: nothing but comments, so defaults
		return zero, err
	}
	if err == nil {
		var more yaml.Node
		if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
			return zero, errors.New("more than one document")
		}
		if limited.N <= 0 {
			return zero, fmt.Errorf("longer than %d bytes", MaxSize)
		}
	}
	if v, ok := any(&cfg).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return zero, err
		}
	}
	return cfg, nil
}
