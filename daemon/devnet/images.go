package devnet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hippius/compute/core/plan"
)

// maxImages bounds the list of built images.
const maxImages = 64

// builtImage is one entry of images.json, which `make image` writes.
type builtImage struct {
	Name        string `json:"name"`
	OS          string `json:"os"`
	Version     string `json:"version"`
	File        string `json:"file"`
	SHA256      string `json:"sha256"`
	SizeBytes   uint64 `json:"size_bytes"`
	VirtualSize uint64 `json:"virtual_size_bytes"`
	Format      string `json:"format"`
	Arch        string `json:"arch"`
	User        string `json:"user"`
}

// loadImages lists the images found built in dir, with the checksums measured there.
func loadImages(dir string) ([]plan.Image, error) {
	data, err := os.ReadFile(filepath.Join(dir, "images.json"))
	if err != nil {
		return nil, fmt.Errorf("built images: %w; build them with 'make image'", err)
	}
	var built []builtImage
	if err := json.Unmarshal(data, &built); err != nil {
		return nil, fmt.Errorf("built images: %w", err)
	}
	if len(built) == 0 || len(built) > maxImages {
		return nil, fmt.Errorf("built images: %d in the list; 1 to %d make sense", len(built), maxImages)
	}
	out := make([]plan.Image, 0, len(built))
	for _, b := range built {
		sum, err := hex.DecodeString(b.SHA256)
		if err != nil {
			return nil, fmt.Errorf("image %s: checksum: %w", b.Name, err)
		}
		file := filepath.Join(dir, filepath.Base(b.File))
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", b.Name, err)
		}
		if uint64(info.Size()) != b.SizeBytes {
			return nil, errors.Join(fmt.Errorf("image %s: the file has %d bytes, the list says %d", b.Name, info.Size(), b.SizeBytes),
				errors.New("build it again with 'make image'"))
		}
		out = append(out, plan.Image{
			Name: b.Name, OS: b.OS, Version: b.Version, URLs: []string{"file://" + file}, SHA256: sum, Format: b.Format,
			SizeBytes: b.SizeBytes, VirtualSizeBytes: b.VirtualSize, Arch: b.Arch, User: b.User,
		})
	}
	return out, nil
}
