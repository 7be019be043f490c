package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gopkg.in/yaml.v3"

	"github.com/hippius/compute/core/text"
)

// format is how results are printed.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

func parseFormat(s string) (format, error) {
	switch f := format(s); f {
	case formatTable, formatJSON, formatYAML:
		return f, nil
	default:
		return "", usagef("--output %q: accepted are table, json and yaml", s)
	}
}

// print writes v as JSON or YAML, or calls table for people.
func (c *command) print(v any, table func(w *tableWriter)) error {
	switch c.format {
	case formatJSON:
		e := json.NewEncoder(c.env.Out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case formatYAML:
		return printYAML(c.env.Out, v)
	case formatTable:
		w := &tableWriter{w: tabwriter.NewWriter(c.env.Out, 0, 4, 2, ' ', 0)}
		table(w)
		return w.w.Flush()
	default:
		return fmt.Errorf("unknown output format %q", c.format)
	}
}

// printYAML goes through JSON, so that both formats have the same field names.
func printYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	blockStyle(&node)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&node); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return e.Close()
}

func blockStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		blockStyle(c)
	}
}

// warn tells what did not keep the command from being done.
func (c *command) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(c.env.Err, "warning: %s\n", clean(fmt.Sprintf(format, args...)))
}

// tableWriter aligns columns; cells are cleaned of control characters, for names come from strangers.
type tableWriter struct{ w *tabwriter.Writer }

func (t *tableWriter) row(cells ...string) {
	for i, c := range cells {
		cells[i] = clean(c)
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // reported by Flush
}

// field is one line of a "show".
func (t *tableWriter) field(name, value string) {
	if value != "" {
		t.row(name+":", value)
	}
}

// clean drops what could move a terminal's cursor, colour it, or have a line read as another.
func clean(s string) string {
	return text.Clean(s, len(s))
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}
