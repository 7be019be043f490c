package observe

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := Logger(&out, "warn", JSON)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("low on disk", "bytes", 7)
	var record struct {
		Level, Msg string
		Free       int `json:"bytes"`
	}
	if err := json.Unmarshal(out.Bytes(), &record); err != nil || record.Level != "WARN" || record.Msg != "low on disk" || record.Free != 7 {
		t.Errorf("%+v, %v of %s", record, err, &out)
	}
	out.Reset()
	if log, err = Logger(&out, "debug", Text); err != nil {
		t.Fatal(err)
	}
	log.Debug("look", "vm_id", "ab")
	if !strings.Contains(out.String(), `level=DEBUG msg=look vm_id=ab`) {
		t.Errorf("text is %s", &out)
	}
	for _, c := range []struct{ level, format, says string }{
		{"loud", Text, `log level "loud": accepted are debug, info, warn and error`},
		{"info", "xml", `log format "xml": accepted are text and json`},
	} {
		if _, err := Logger(&out, c.level, c.format); err == nil || err.Error() != c.says {
			t.Errorf("got %v, want %s", err, c.says)
		}
	}
}
