package crashpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hippius/compute/miner/crashpoint"
)

// The list is what the code has, no more and no less: a point that is not listed would be killed at by no test.
func TestNamesAreThoseInTheCode(t *testing.T) {
	inCode := map[string]string{} // to where it is
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for name, at := range pointsIn(t, path) {
			if before, twice := inCode[name]; twice {
				t.Errorf("point %q is at %s and at %s: one that is killed at one of them does not show the other", name, before, at)
			}
			inCode[name] = at
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := crashpoint.Names()
	for name, at := range inCode {
		if !slices.Contains(listed, name) {
			t.Errorf("point %q (%s) is not listed in crashpoint.Names", name, at)
		}
	}
	for i, name := range listed {
		if inCode[name] == "" {
			t.Errorf("point %q is listed, and not in the code", name)
		}
		if slices.Contains(listed[:i], name) {
			t.Errorf("point %q is listed twice", name)
		}
	}
}

// pointsIn finds the calls of fault.Point in a file. A name that is not a constant there would hide from the list.
func pointsIn(t *testing.T, path string) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || f.Sel.Name != "Point" {
			return true
		}
		if p, ok := f.X.(*ast.Ident); !ok || p.Name != "fault" {
			return true
		}
		at := set.Position(call.Pos()).String()
		text, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			t.Errorf("%s: the point's name is not written there", at)
			return true
		}
		name, err := strconv.Unquote(text.Value)
		if err != nil {
			t.Fatal(err)
		}
		if before, twice := found[name]; twice {
			t.Errorf("point %q is at %s and at %s", name, before, at)
		}
		found[name] = at
		return true
	})
	return found
}
