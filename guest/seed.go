package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kdomanski/iso9660"

	wire "github.com/hippius/compute/core/guest"
)

// ErrNoSeed says that no medium with the seed's label is attached.
var ErrNoSeed = errors.New("no CIDATA medium is attached")

// An ISO 9660 volume label is 32 bytes at this offset.
const (
	labelOffset = 32808
	labelSize   = 32
)

// ReadConfig finds the seed among the block devices and reads the agent's
// configuration from it. It mounts nothing.
func (s *System) ReadConfig() (wire.Config, error) {
	path, err := s.findMedium(wire.SeedLabel)
	if err != nil {
		return wire.Config{}, err
	}
	return ConfigFrom(path)
}

// ConfigFrom reads the agent's configuration from a seed, an image file or a
// device at path.
func ConfigFrom(path string) (wire.Config, error) {
	data, err := readMediumFile(path, wire.ConfigFile)
	if err != nil {
		return wire.Config{}, err
	}
	cfg, err := wire.DecodeConfig(data)
	if err != nil {
		return wire.Config{}, fmt.Errorf("seed on %s: %w", path, err)
	}
	return cfg, nil
}

// findMedium gives the device that carries an ISO of the label: by udev's link
// where there is one, else by looking at every block device.
func (s *System) findMedium(label string) (string, error) {
	candidates := []string{
		s.path("dev/disk/by-label", label),
		s.path("dev/disk/by-label", strings.ToLower(label)),
	}
	blocks, err := os.ReadDir(s.path("sys/class/block"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("list block devices: %w", err)
	}
	for _, b := range blocks {
		candidates = append(candidates, s.path("dev", b.Name()))
	}
	for _, path := range candidates {
		if got, err := mediumLabel(path); err == nil && strings.EqualFold(got, label) {
			return path, nil
		}
	}
	return "", ErrNoSeed
}

// mediumLabel reads the ISO label of a device; an empty label is an error.
func mediumLabel(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	var b [labelSize]byte
	if _, err := f.ReadAt(b[:], labelOffset); err != nil {
		return "", fmt.Errorf("read label of %s: %w", path, err)
	}
	label := strings.TrimRight(string(b[:]), " \x00")
	if label == "" {
		return "", fmt.Errorf("%s has no label", path)
	}
	return label, nil
}

// readMediumFile reads a file at the root of an ISO, at most wire.MaxConfig bytes.
func readMediumFile(path, name string) (data []byte, err error) {
	defer func() {
		// The library panics on some media that are no sound ISO, or not yet.
		if cause := recover(); cause != nil {
			err = fmt.Errorf("read seed on %s: not a sound ISO: %v", path, cause)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open seed: %w", err)
	}
	defer func() { _ = f.Close() }()
	image, err := iso9660.OpenImage(f)
	if err != nil {
		return nil, fmt.Errorf("read seed on %s: %w", path, err)
	}
	root, err := image.RootDir()
	if err != nil {
		return nil, fmt.Errorf("read seed on %s: %w", path, err)
	}
	files, err := root.GetChildren()
	if err != nil {
		return nil, fmt.Errorf("list seed on %s: %w", path, err)
	}
	i := slices.IndexFunc(files, func(f *iso9660.File) bool { return strings.EqualFold(f.Name(), name) })
	if i < 0 {
		return nil, fmt.Errorf("seed on %s has no %s", filepath.Base(path), name)
	}
	if size := files[i].Size(); size > wire.MaxConfig {
		return nil, fmt.Errorf("%s on the seed has %d bytes; at most %d are accepted", name, size, wire.MaxConfig)
	}
	data, err = io.ReadAll(io.LimitReader(files[i].Reader(), wire.MaxConfig))
	if err != nil {
		return nil, fmt.Errorf("read %s from the seed: %w", name, err)
	}
	return data, nil
}
