package devnet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hippius/compute/core/plan"
)

// LoadApps reads the recipes in dir, NAME.yaml each, whose second line says
// `# NAME: what it is.` They install on the images that carry their packages.
func LoadApps(dir string, images ...string) ([]plan.App, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("applications: %w", err)
	}
	out := make([]plan.App, 0, len(files))
	for _, file := range files {
		recipe, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("applications: %w", err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		_, rest, _ := strings.Cut(string(recipe), "# "+name+": ")
		description, _, _ := strings.Cut(rest, ".")
		description = strings.ReplaceAll(strings.TrimSpace(description), "\n# ", " ")
		out = append(out, plan.App{Name: name, Description: description, Recipe: string(recipe), Images: images})
	}
	return out, nil
}

// withApps lays own over the default applications, by name.
func withApps(own []plan.App) []plan.App {
	have := map[string]bool{}
	for _, a := range own {
		have[a.Name] = true
	}
	all := own
	for _, a := range plan.DefaultApps() {
		if !have[a.Name] {
			all = append(all, a)
		}
	}
	return all
}
