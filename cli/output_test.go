package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestParseFormat(t *testing.T) {
	for _, s := range []string{"table", "json", "yaml"} {
		if f, err := parseFormat(s); err != nil || string(f) != s {
			t.Errorf("%s: %q, %v", s, f, err)
		}
	}
	for _, s := range []string{"", "JSON", "xml", "table "} {
		_, err := parseFormat(s)
		if err == nil || !strings.Contains(err.Error(), "accepted are table, json and yaml") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Scripts find the same fields with the same values, whichever of the two they read.
func TestJSONAndYAMLHaveTheSameFields(t *testing.T) {
	for _, view := range []any{
		vmView{ID: "ab", Name: "yes", Apps: []string{"docker"}, Message: "a: b\n# c", RunningSeconds: 1 << 62, SSHKeys: []string{"1.0"}},
		minerView{Name: "0x10", Region: "no", MemoryMiB: 7},
		planView{Name: "null"},
		imageView{Name: "debian-12", SHA256: "1e5"},
		appView{Name: "docker", Recipe: "#cloud-config\nruncmd: [\"a\"]\n"},
		billingView{Balance: 1 << 63},
		quoteView{Plan: "on"},
		whoamiView{Address: "hip1"},
		keyView{Name: "~"},
		[]planView{},
	} {
		read := map[format]any{}
		for f, decode := range map[format]func([]byte, any) error{formatJSON: json.Unmarshal, formatYAML: yaml.Unmarshal} {
			d := newDesk(t)
			d.format = f
			if err := d.print(view, nil); err != nil {
				t.Fatal(err)
			}
			out := reflect.New(reflect.TypeOf(view))
			var fields any
			if err := decode(d.out.Bytes(), &fields); err != nil {
				t.Fatalf("%s: %v\n%s", f, err, d.out.String())
			}
			if err := json.Unmarshal([]byte(mustJSON(t, fields)), out.Interface()); err != nil {
				t.Fatalf("%s: %v\n%s", f, err, d.out.String())
			}
			if f == formatYAML && !reflect.DeepEqual(out.Elem().Interface(), view) {
				t.Errorf("YAML gives %+v for %+v", out.Elem().Interface(), view)
			}
			read[f] = names(fields)
		}
		if !reflect.DeepEqual(read[formatJSON], read[formatYAML]) {
			t.Errorf("JSON has %v, YAML %v", read[formatJSON], read[formatYAML])
		}
	}
}

// names are the fields' names of a decoded value.
func names(v any) map[string]bool {
	out := map[string]bool{}
	m, _ := v.(map[string]any)
	for k := range m {
		out[k] = true
	}
	return out
}

func TestTableIsCleanedOfControlCharacters(t *testing.T) {
	d := newDesk(t)
	if err := d.print(nil, func(w *tableWriter) {
		w.row("NAME", "MESSAGE")
		w.row("web\x1b[31m-1\x07", "one\ntwo\tthree\u009b2J\x7f")
		w.field("Reason", "\r\x1b]0;title\x07go\u202ene")
		w.field("Nothing", "")
	}); err != nil {
		t.Fatal(err)
	}
	want := "NAME       MESSAGE\nweb[31m-1  onetwothree2J\nReason:    ]0;titlegone\n"
	if d.out.String() != want {
		t.Errorf("got %q, want %q", d.out.String(), want)
	}
}
