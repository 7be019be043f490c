package compute_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// capTable has a row for each cap that strangers share, and a list of the bounds that nobody shares.
const capTable = "docs/design/20261201-caps.md"

// meetingPlaces are the folders where strangers take of what ends.
var meetingPlaces = []string{
	"chain/app", "chain/node", "sentinel/keeper", "internal/peer", "miner/console", "miner/agent", "miner/report", "miner/forget",
	"mesh/nebula", "gateway/lighthouse",
}

// boundConstant is one in a file: alone, or in a block of constants.
var boundConstant = regexp.MustCompile(`(?m)^(?:const |\t)([mM]ax[A-Z]\w*)\s*=`)

func TestCapsHaveTheirTests(t *testing.T) {
	data, err := os.ReadFile(capTable)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	tests, rows, faults := attackRows(strings.ReplaceAll(doc, "| cap |", "| attack |"))
	for _, f := range faults {
		t.Errorf("%s: %s", capTable, f)
	}
	if rows < 20 {
		t.Errorf("%s: only %d rows", capTable, rows)
	}
	for _, n := range tests {
		if ok, err := hasTest(n); err != nil || !ok {
			t.Errorf("%s: %s has no %s (%v)", capTable, n.folder, n.name, err)
		}
	}
	for _, f := range staleCaps(doc) {
		t.Errorf("%s: %s", capTable, f)
	}
	for _, dir := range meetingPlaces {
		names, err := boundsOf(dir)
		if err != nil {
			t.Fatal(err)
		}
		for name := range names {
			if !strings.Contains(doc, "`"+name+"`") {
				t.Errorf("%s of %s is not on %s: in the table with how it is shared, or in the list of what nobody shares", name, dir, capTable)
			}
		}
	}
}

// staleCaps are the rows whose file does not have what they name.
func staleCaps(doc string) (faults []string) {
	for line := range strings.Lines(doc) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			continue
		}
		name, file := quoted.FindStringSubmatch(cells[1]), quoted.FindStringSubmatch(cells[2])
		if name == nil || file == nil {
			continue
		}
		src, err := os.ReadFile(filepath.FromSlash(file[1]))
		if err != nil || !regexp.MustCompile(`\b`+name[1]+`\b`).Match(src) {
			faults = append(faults, fmt.Sprintf("%s has no %s (%v)", file[1], name[1], err))
		}
	}
	return faults
}

// boundsOf a folder are its constants of that name, but for those of tests.
func boundsOf(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for _, m := range boundConstant.FindAllStringSubmatch(string(src), -1) {
			names[m[1]] = true
		}
	}
	return names, nil
}

// TestCapsAreMissed: the check finds what it is there for.
func TestCapsAreMissed(t *testing.T) {
	if got := staleCaps("| `maxGone` | `chain/app/bounds.go` | 1 | nobody | `chain/app`: `TestX` |\n"); len(got) != 1 {
		t.Errorf("a cap that is gone: %v", got)
	}
	if got := boundConstant.FindStringSubmatch("const (\n\t// maxX is\n\tmaxX    = 5\n)"); len(got) != 2 || got[1] != "maxX" {
		t.Errorf("a new constant: %v", got)
	}
}
