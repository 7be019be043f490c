package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where an alert or a page for operators says what to search a log for, a program logs it.
func TestLogsThatAreSearchedFor(t *testing.T) {
	pages, err := filepath.Glob("../../docs/run/*.md")
	if err != nil {
		t.Fatal(err)
	}
	searched := map[string]string{}
	search := regexp.MustCompile(`journalctl[^|\n]*\| *grep '([^']+)'`)
	for _, path := range append(pages, deploy+"/prometheus/alerts.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range search.FindAllStringSubmatch(string(text), -1) {
			searched[m[1]] = path
		}
	}
	if len(searched) < 3 {
		t.Errorf("only %d searches were found: %q", len(searched), searched)
	}
	logged := regexp.MustCompile(`\b[lL]og\.(?:Debug|Info|Warn|Error)\("([^"]*)"`)
	var messages []string
	for _, dir := range []string{"miner", "internal", "gateway", "sentinel", "daemon", "chain", "mesh"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path) //nolint:gosec // this repository's
			for _, m := range logged.FindAllStringSubmatch(string(src), -1) {
				messages = append(messages, m[1])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for text, path := range searched {
		found := 0
		for _, m := range messages {
			if strings.Contains(m, text) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s: %d log messages contain %q, want 1", path, found, text)
		}
	}
}
