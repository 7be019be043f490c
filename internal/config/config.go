// Package config reads a daemon's settings: one YAML file over the defaults,
// with unknown keys refused, so that a misspelt setting is never silently the
// default.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"gopkg.in/yaml.v3"
)

// maxFile bounds a settings file, in bytes.
const maxFile = 1 << 20

// Validator is a set of settings that can say what is wrong with it.
type Validator interface {
	Validate() error
}

// Load reads the file at path into settings, which hold the defaults, and
// validates them. settings is a pointer to a struct with yaml tags.
func Load(path string, settings Validator) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return fmt.Errorf("settings %s: %w", path, err)
	}
	if err := Parse(data, settings); err != nil {
		return fmt.Errorf("settings %s: %w", path, err)
	}
	return nil
}

// Parse is Load for what was read already.
func Parse(data []byte, settings Validator) error {
	if len(data) > maxFile {
		return fmt.Errorf("more than %d bytes", maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(settings); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return settings.Validate()
}

// Encode writes settings as a file that Parse reads.
func Encode(settings any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(settings); err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	return b.Bytes(), nil
}
