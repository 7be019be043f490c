package compute_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// attackTable is where each known attack has a row, with its tests in the last cell: `folder`: `TestName`, `TestName`, `folder`: …
const attackTable = "docs/design/20261130-attacks.md"

var quoted = regexp.MustCompile("`([^`]+)`(:?)")

// namedTest is a test that a row names.
type namedTest struct{ folder, name string }

// attackRows are the tests named in each row of the tables of attacks, and what is wrong with a row.
func attackRows(doc string) (tests []namedTest, rows int, faults []string) {
	section := ""
	for line := range strings.Lines(doc) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "attack" {
			if strings.HasPrefix(line, "|") && len(cells) != 7 && section != "Figures" {
				faults = append(faults, fmt.Sprintf("%q has %d cells; a row has 5", cells[1], len(cells)-2))
			}
			continue
		}
		rows++
		last := strings.TrimSpace(cells[5])
		folder, found := "", 0
		for _, m := range quoted.FindAllStringSubmatch(last, -1) {
			switch {
			case m[2] == ":":
				folder = m[1]
			case folder == "":
				faults = append(faults, fmt.Sprintf("%q: %s has no folder", cells[1], m[1]))
			default:
				found++
				tests = append(tests, namedTest{folder, m[1]})
			}
		}
		if found == 0 {
			faults = append(faults, fmt.Sprintf("%q names no test", cells[1]))
		}
	}
	return tests, rows, faults
}

// hasTest says whether a folder's tests have one of that name.
func hasTest(n namedTest) (bool, error) {
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(n.folder), "*_test.go"))
	if err != nil {
		return false, err
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			return false, err
		}
		if strings.Contains(string(src), "\nfunc "+n.name+"(t *testing.T) {") {
			return true, nil
		}
	}
	return false, nil
}

func TestAttacksHaveTheirTests(t *testing.T) {
	doc, err := os.ReadFile(attackTable)
	if err != nil {
		t.Fatal(err)
	}
	tests, rows, faults := attackRows(string(doc))
	for _, f := range faults {
		t.Errorf("%s: %s", attackTable, f)
	}
	if rows < 60 || len(tests) < rows {
		t.Errorf("%s: only %d rows with %d tests", attackTable, rows, len(tests))
	}
	for _, n := range tests {
		if ok, err := hasTest(n); err != nil || !ok {
			t.Errorf("%s: %s has no %s (%v)", attackTable, n.folder, n.name, err)
		}
	}
}

// TestAttackRowsAreRead puts faults into the table, each of which is found.
func TestAttackRowsAreRead(t *testing.T) {
	for row, want := range map[string]string{
		"| a | b | c | d | `x`: `TestA`, `TestB`, `y`: `TestC` |": "",
		"| a | b | c | d | to come |":                             "names no test",
		"| a | b | c | d | none |":                                "names no test",
		"| a | b | c | d | `TestA` |":                             "no folder",
		"| a | b | c | `x`: `TestA` |":                            "has 4 cells",
	} {
		tests, _, faults := attackRows("## Here\n" + row + "\n")
		if got := strings.Join(faults, "; "); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", row, got, want)
		}
		if want == "" && (len(tests) != 3 || tests[2] != namedTest{"y", "TestC"}) {
			t.Errorf("%s: %v", row, tests)
		}
	}
	for n, want := range map[namedTest]bool{{".", "TestWords"}: true, {".", "TestWord"}: false, {"core/vm", "TestWords"}: false, {"nowhere", "TestWords"}: false} {
		if got, err := hasTest(n); err != nil || got != want {
			t.Errorf("%v: %t, %v", n, got, err)
		}
	}
}
