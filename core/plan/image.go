package plan

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Image is an operating system image that miners download and boot.
type Image struct {
	Name    string `json:"name"`
	OS      string `json:"os"`
	Version string `json:"version"`
	// URLs are tried in order; https, or http and file for test networks: the checksum decides.
	URLs   []string `json:"urls"`
	SHA256 []byte   `json:"sha256"`
	// Format is "qcow2" or "raw".
	Format string `json:"format"`
	// SizeBytes of the file; VirtualSizeBytes is the least disk a VM needs.
	SizeBytes        uint64 `json:"size_bytes"`
	VirtualSizeBytes uint64 `json:"virtual_size_bytes"`
	Arch             string `json:"arch"`
	// User who logs in.
	User string `json:"user"`
}

const (
	maxURLs      = 8
	maxURL       = 512
	maxText      = 64
	maxImageSize = 1 << 40
	sha256Size   = 32
	gib          = 1 << 30
)

// MinDiskGiB is the least disk a VM needs for the image.
func (im Image) MinDiskGiB() uint64 { return (im.VirtualSizeBytes + gib - 1) / gib }

// Validate says in one sentence what is wrong with the image.
func (im Image) Validate() error {
	if err := ValidateName("image", im.Name); err != nil {
		return err
	}
	if n := len(im.URLs); n == 0 || n > maxURLs {
		return fmt.Errorf("image %q has %d URLs; accepted are 1 to %d", im.Name, n, maxURLs)
	}
	for _, s := range im.URLs {
		if !validURL(s) {
			return fmt.Errorf("image %q: %.80q is not an https, http or file URL of at most %d bytes without a password", im.Name, s, maxURL)
		}
	}
	if len(im.SHA256) != sha256Size {
		return fmt.Errorf("image %q has a SHA-256 of %d bytes; it needs exactly %d", im.Name, len(im.SHA256), sha256Size)
	}
	if im.Format != "qcow2" && im.Format != "raw" {
		return fmt.Errorf("image %q has format %.20q; accepted are qcow2 and raw", im.Name, im.Format)
	}
	if im.SizeBytes == 0 || im.SizeBytes > maxImageSize || im.VirtualSizeBytes == 0 || im.VirtualSizeBytes > maxImageSize {
		return fmt.Errorf("image %q has %d bytes, %d as a disk; accepted are 1 to %d", im.Name, im.SizeBytes, im.VirtualSizeBytes, uint64(maxImageSize))
	}
	if im.Arch != "amd64" && im.Arch != "arm64" {
		return fmt.Errorf("image %q is for %.20q; accepted are amd64 and arm64", im.Name, im.Arch)
	}
	if err := ValidateName("user", im.User); err != nil {
		return fmt.Errorf("image %q: %w", im.Name, err)
	}
	return validateText("image "+im.Name, im.OS, im.Version)
}

// validURL takes absolute URLs alone, written with no character that a URL does not have.
func validURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || !printable(s) || strings.Contains(s, " ") || u.User != nil || u.Opaque != "" {
		return false
	}
	switch u.Scheme {
	case "https", "http":
		return u.Hostname() != ""
	case "file":
		return u.Path != ""
	default:
		return false
	}
}

func validateText(what string, texts ...string) error {
	for _, s := range texts {
		if len(s) > maxText || !printable(s) {
			return fmt.Errorf("%s: %.40q is not at most %d printable characters", what, s, maxText)
		}
	}
	return nil
}

func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// App is an application that a VM gets at its first boot, as a cloud-config fragment.
type App struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Recipe      string `json:"recipe"`
	// Images it works on; empty for all.
	Images []string `json:"images"`
}

const (
	// MaxRecipe bounds a recipe, in bytes.
	MaxRecipe      = 16 << 10
	maxDescription = 256
	maxAppImages   = 32
)

// Validate says in one sentence what is wrong with the application. Whether
// the recipe is valid cloud-config shows only in a VM.
func (a App) Validate() error {
	if err := ValidateName("application", a.Name); err != nil {
		return err
	}
	if len(a.Description) > maxDescription || !printable(a.Description) {
		return fmt.Errorf("application %q: the description is not at most %d printable characters", a.Name, maxDescription)
	}
	if a.Recipe == "" || len(a.Recipe) > MaxRecipe {
		return fmt.Errorf("application %q has a recipe of %d bytes; accepted are 1 to %d", a.Name, len(a.Recipe), MaxRecipe)
	}
	if len(a.Images) > maxAppImages {
		return fmt.Errorf("application %q names %d images; at most %d", a.Name, len(a.Images), maxAppImages)
	}
	for _, im := range a.Images {
		if err := ValidateName("image", im); err != nil {
			return fmt.Errorf("application %q: %w", a.Name, err)
		}
	}
	return nil
}

// WorksOn tells whether the application can be put on an image.
func (a App) WorksOn(image string) bool {
	return len(a.Images) == 0 || slices.Contains(a.Images, image)
}

// DefaultApps are the applications of a new network. Each installs from the
// image's own package sources and does nothing when the packages are there.
func DefaultApps() []App {
	return []App{
		{
			Name:        "docker",
			Description: "Docker Engine from the distribution, usable by the login user",
			Recipe: `runcmd:
  - [sh, -c, "command -v dockerd >/dev/null || (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends docker.io)"]
  - [sh, -c, "getent group docker >/dev/null || groupadd --system docker; usermod -aG docker $(id -un 1000)"]
  - [systemctl, enable, --now, docker]
`,
		},
		{
			Name:        "build-tools",
			Description: "C and C++ compilers, make and git",
			Recipe: `runcmd:
  - [sh, -c, "command -v make git cc >/dev/null || (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends build-essential git)"]
`,
		},
	}
}
