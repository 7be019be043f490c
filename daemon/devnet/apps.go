package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hippius/compute/core/plan"
)

// maxApps bounds the list of applications that images carry packages for.
const maxApps = 64

// LoadApps reads dir/apps.json, a list of applications with their recipes'
// files, which stands beside the images that carry their packages. No list is
// no application.
func LoadApps(dir string) ([]plan.App, error) {
	data, err := os.ReadFile(filepath.Join(dir, "apps.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("applications: %w", err)
	}
	var list []struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Recipe      string   `json:"recipe"`
		Images      []string `json:"images"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("applications in %s: %w", dir, err)
	}
	if len(list) > maxApps {
		return nil, fmt.Errorf("applications in %s: %d of them; at most %d", dir, len(list), maxApps)
	}
	out := make([]plan.App, 0, len(list))
	for _, a := range list {
		recipe, err := os.ReadFile(filepath.Join(dir, filepath.Base(a.Recipe)))
		if err != nil {
			return nil, fmt.Errorf("application %s: %w", a.Name, err)
		}
		out = append(out, plan.App{Name: a.Name, Description: a.Description, Recipe: string(recipe), Images: a.Images})
	}
	return out, nil
}
