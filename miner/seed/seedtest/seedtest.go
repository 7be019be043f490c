// Package seedtest reads seeds as guests do, with a library that is not ours: for tests, and for guests that are made of
// Go.
package seedtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kdomanski/iso9660"

	wire "github.com/hippius/compute/core/guest"
)

// Config is what the agent in the guest finds on the seed at a path.
func Config(path string) (wire.Config, error) {
	image, err := os.ReadFile(path)
	if err != nil {
		return wire.Config{}, err
	}
	_, files, err := Files(image)
	if err != nil {
		return wire.Config{}, fmt.Errorf("seed %s: %w", path, err)
	}
	text, ok := files[wire.ConfigFile]
	if !ok {
		return wire.Config{}, fmt.Errorf("seed %s has no %s", path, wire.ConfigFile)
	}
	return wire.DecodeConfig(text)
}

// Files of an image by name, and its label.
func Files(image []byte) (label string, files map[string][]byte, err error) {
	im, err := iso9660.OpenImage(bytes.NewReader(image))
	if err != nil {
		return "", nil, err
	}
	if label, err = im.Label(); err != nil {
		return "", nil, err
	}
	root, err := im.RootDir()
	if err != nil {
		return "", nil, err
	}
	children, err := root.GetChildren()
	if err != nil {
		return "", nil, err
	}
	files = map[string][]byte{}
	for _, c := range children {
		if files[c.Name()], err = io.ReadAll(c.Reader()); err != nil {
			return "", nil, err
		}
	}
	return strings.TrimRight(label, " \x00"), files, nil
}
