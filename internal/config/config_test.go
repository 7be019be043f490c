package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type settings struct {
	Listen string        `yaml:"listen"`
	Every  time.Duration `yaml:"every"`
}

func (s *settings) Validate() error {
	if s.Every <= 0 {
		return errors.New("every: give a time above zero")
	}
	return nil
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		text, wrong string
	}{
		"all":            {text: "listen: a\nevery: 3s\n"},
		"some":           {text: "listen: a\n"},
		"nothing":        {text: ""},
		"unknown key":    {text: "lisen: a\n", wrong: "lisen"},
		"invalid":        {text: "every: 0s\n", wrong: "above zero"},
		"two documents":  {text: "listen: a\n---\nlisten: b\n", wrong: "more than one document"},
		"not YAML":       {text: "listen: [", wrong: "yaml"},
		"far too long":   {text: "#" + strings.Repeat("x", maxFile), wrong: "more than"},
		"of wrong shape": {text: "- a\n", wrong: "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s := settings{Listen: "default", Every: time.Second}
			err := Load(path, &s)
			if c.wrong == "" {
				if err != nil || s.Listen == "" || s.Every == 0 {
					t.Fatalf("got %+v, %v", s, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Fatalf("error %v; want one with %q", err, c.wrong)
			}
		})
	}
}

func TestEncodeIsRead(t *testing.T) {
	want := settings{Listen: "x", Every: 90 * time.Second}
	data, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	var got settings
	if err := Parse(data, &got); err != nil || got != want {
		t.Fatalf("got %+v, %v from\n%s", got, err, data)
	}
}
