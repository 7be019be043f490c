package guest

import (
	"strings"
	"testing"
)

func TestVersionsMeet(t *testing.T) {
	for name, c := range map[string]struct {
		here  Versions
		there *Versions
		says  string
	}{
		"the same":              {here: Versions{1, 1}, there: &Versions{1, 1}},
		"from before versions":  {here: Versions{1, 2}},
		"newer, still speaks 1": {here: Versions{1, 1}, there: &Versions{1, 7}},
		"overlap":               {here: Versions{2, 4}, there: &Versions{4, 6}},
		"older":                 {here: Versions{2, 4}, there: &Versions{1, 1}, says: "restart the VM"},
		"older, says nothing":   {here: Versions{2, 4}, says: "there 1 to 1"},
		"newer":                 {here: Versions{1, 1}, there: &Versions{2, 3}, says: "here 1 to 1, there 2 to 3"},
		"nonsense":              {here: Versions{1, 1}, there: &Versions{3, 2}, says: "no range"},
		"zero":                  {here: Versions{1, 1}, there: &Versions{}, says: "no range"},
	} {
		err := c.here.Meets(c.there)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
