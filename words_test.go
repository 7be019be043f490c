package compute_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// wordRules are the patterns of what docs/glossary.md lists under "Not used", and what to say instead.
func wordRules(t *testing.T, glossary string) map[string]wordRule {
	t.Helper()
	_, table, found := strings.Cut(glossary, "## Not used")
	if !found {
		t.Fatal("the glossary does not say what is not used")
	}
	rules := map[string]wordRule{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "not" {
			continue
		}
		not := strings.TrimSpace(cells[1])
		pattern := `(?i)\b` + regexp.QuoteMeta(not) + `s?\b`
		if strings.HasSuffix(not, "_") {
			pattern = regexp.QuoteMeta(not) // a constant's prefix
		}
		rule := wordRule{pattern: regexp.MustCompile(pattern), instead: strings.TrimSpace(cells[2])}
		for term := range strings.SplitSeq(cells[3], ",") {
			term = strings.TrimSpace(term)
			switch whole := strings.Trim(term, "`"); {
			case term == "":
			case whole != term: // the name of something that is not ours
				rule.except = append(rule.except, regexp.MustCompile(`^`+regexp.QuoteMeta(whole)+`$`))
			default:
				words := strings.ReplaceAll(regexp.QuoteMeta(term), " ", `\s+`)
				rule.except = append(rule.except, regexp.MustCompile(`(?i)`+words+`s?`))
			}
		}
		rules[not] = rule
	}
	if len(rules) < 10 {
		t.Fatalf("only %d words are refused", len(rules))
	}
	return rules
}

type wordRule struct {
	pattern *regexp.Regexp
	instead string
	except  []*regexp.Regexp // standard terms that contain the word
}

func (r wordRule) refuses(text string) bool {
	if !r.pattern.MatchString(text) {
		return false
	}
	for _, term := range r.except {
		text = term.ReplaceAllString(text, "")
	}
	return r.pattern.MatchString(text)
}

// spaced is an identifier as words: reportFailure, "report failure".
func spaced(identifier string) string {
	var b strings.Builder
	previous := ' '
	for _, c := range identifier {
		if unicode.IsUpper(c) && unicode.IsLower(previous) {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
		previous = c
	}
	return strings.ReplaceAll(b.String(), "_", " ")
}

// goWords are the texts of a Go file that people read: identifiers, string literals and comments, by line.
func goWords(t *testing.T, name string, src []byte) map[int][]string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int][]string{}
	add := func(at token.Pos, text string) {
		line := fset.Position(at).Line
		found[line] = append(found[line], text)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			add(n.Pos(), spaced(n.Name))
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				add(n.Pos(), n.Value)
			}
		}
		return true
	})
	for _, group := range file.Comments {
		add(group.Pos(), strings.Join(strings.Fields(strings.ReplaceAll(group.Text(), "\n", " ")), " "))
	}
	return found
}

func refused(rules map[string]wordRule, text string) (not, instead string) {
	for word, r := range rules {
		if r.refuses(text) {
			return word, r.instead
		}
	}
	return "", ""
}

func TestWords(t *testing.T) {
	glossary, err := os.ReadFile("docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := wordRules(t, string(glossary))
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "--", "*.go", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for name := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(name, "docs/design/") || strings.HasPrefix(name, "third_party/") || strings.HasPrefix(name, "api/") ||
			strings.HasSuffix(name, ".pb.go") || strings.HasSuffix(name, ".pb.gw.go") || name == "docs/glossary.md" || name == "words_test.go" {
			continue
		}
		src, err := os.ReadFile(filepath.FromSlash(name))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		read++
		lines := map[int][]string{}
		if strings.HasSuffix(name, ".go") {
			lines = goWords(t, name, src)
		} else {
			for i, line := range strings.Split(string(src), "\n") {
				lines[i+1] = []string{line}
			}
		}
		for line, texts := range lines {
			for _, text := range texts {
				if not, instead := refused(rules, text); not != "" {
					t.Errorf("%s:%d: %q is not used here; say %q (docs/glossary.md)", name, line, not, instead)
				}
			}
		}
	}
	if read < 300 {
		t.Fatalf("only %d files were read", read)
	}
}

// TestWordsAreFound puts refused words back, in each place where they would be read.
func TestWordsAreFound(t *testing.T) {
	glossary, err := os.ReadFile("docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := wordRules(t, string(glossary))
	for src, want := range map[string]string{
		"package p\nfunc (a *A) hinderAll() {}":                        "hinder",
		"package p\nvar patientAndHopeless int":                        "hopeless",
		"package p\n// The VM was cut\n// off.\nvar x int":             "was cut off",
		"package p\nvar x = \"PHASE_RUNNING\"":                         "PHASE_",
		"package p\nvar x = \"2 arguments do not fit\"":                "arguments do not fit",
		"package p\nvar x = \"this is not understood\"":                "not understood",
		"package p\nvar insight, troubled, lawsuit = 1,2,3":            "",
		"package p\nfunc stopMachine() {}":                             "machine",
		"package p\n// Two machines share\n// it.\nvar x int":          "machine",
		"package p\nvar x = \"the machine's disk\"":                    "machine",
		"package p\n// A virtual\n// machine.\nvar x int":              "",
		"package p\n// A virtual machine on a\n// machine.\nvar x int": "machine",
		"package p\nvar stateMachine = `<type machine='q35'>`":         "",
		"package p\nvar x = T{Machine: 1, Dir: `a` + \"machines\"}":    "",
		"package p\nvar x = \"two machines\"":                          "machine",
		"package p\n// It lasts a moment.\nvar x int":                  "moment",
	} {
		got := ""
		for _, texts := range goWords(t, "x.go", []byte(src)) {
			for _, text := range texts {
				if not, _ := refused(rules, text); not != "" {
					got = not
				}
			}
		}
		if got != want {
			t.Errorf("%q: refused %q, want %q", src, got, want)
		}
	}
}
