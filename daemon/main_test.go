package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type settings struct {
	Name string `yaml:"name"`
	Port int    `yaml:"port"`
}

func (s *settings) Validate() error {
	if s.Port < 1 {
		return errors.New("port: give 1 to 65535")
	}
	return nil
}

// invoke runs the command line with a daemon that answers err, and gives the settings it ran with.
func invoke(t *testing.T, answer error, args ...string) (ran *settings, out, logged string, err error) {
	t.Helper()
	start := func(_ context.Context, s settings, log *slog.Logger) error {
		ran = &s
		log.Debug("details")
		return answer
	}
	cmd := Command("hippius-x", "v1", func() settings { return settings{Name: "x", Port: 7} }, start)
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return ran, stdout.String(), stderr.String(), err
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSettingsAreReadOverDefaults(t *testing.T) {
	t.Parallel()
	ran, _, logged, err := invoke(t, nil, "--config", file(t, "port: 9\n"))
	if err != nil {
		t.Fatal(err)
	}
	if ran == nil || *ran != (settings{Name: "x", Port: 9}) {
		t.Errorf("ran with %+v", ran)
	}
	for _, want := range []string{"msg=starting program=hippius-x version=v1", "msg=ended"} {
		if !strings.Contains(logged, want) {
			t.Errorf("the log lacks %q:\n%s", want, logged)
		}
	}
	if strings.Contains(logged, "details") {
		t.Error("debug records at level info")
	}
}

func TestSampleIsWhatConfigTakes(t *testing.T) {
	t.Parallel()
	_, sample, _, err := invoke(t, nil, "sample")
	if err != nil {
		t.Fatal(err)
	}
	ran, _, logged, err := invoke(t, nil, "-c", file(t, sample), "--log-level", "debug")
	if err != nil || ran == nil || *ran != (settings{Name: "x", Port: 7}) {
		t.Errorf("ran with %+v: %v", ran, err)
	}
	if !strings.Contains(logged, "details") {
		t.Error("no debug records at level debug")
	}
}

func TestRefusedBeforeItStarts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no settings":      {args: nil, says: "config"},
		"no such file":     {args: []string{"-c", "/nonexistent/x.yaml"}, says: "read settings"},
		"an unknown key":   {args: []string{"-c", file(t, "prot: 9\n")}, says: "prot"},
		"a value refused":  {args: []string{"-c", file(t, "port: 0\n")}, says: "give 1 to 65535"},
		"an unknown level": {args: []string{"-c", file(t, ""), "--log-level", "loud"}, says: "accepted are debug, info, warn and error"},
		"an argument":      {args: []string{"-c", file(t, ""), "start"}, says: "start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran, _, _, err := invoke(t, nil, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("said %v, want %q", err, c.says)
			}
			if ran != nil {
				t.Error("it started")
			}
		})
	}
}

func TestFailureIsReturned(t *testing.T) {
	t.Parallel()
	broken := errors.New("no disk")
	if _, _, logged, err := invoke(t, broken, "-c", file(t, "")); !errors.Is(err, broken) || strings.Contains(logged, "msg=ended") {
		t.Errorf("said %v, logged %s", err, logged)
	}
}
