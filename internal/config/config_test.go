package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type settings struct {
	Listen  string        `yaml:"listen"`
	Timeout time.Duration `yaml:"timeout"`
	Peers   []string      `yaml:"peers"`
	Disk    struct {
		Dir string `yaml:"dir"`
		GiB int    `yaml:"gib"`
	} `yaml:"disk"`
}

func (s *settings) Validate() error {
	if s.Disk.GiB < 1 {
		return errors.New("disk.gib: want 1 or more")
	}
	return nil
}

func defaults() settings {
	s := settings{Listen: "127.0.0.1:1", Timeout: time.Minute, Peers: []string{"default"}}
	s.Disk.Dir, s.Disk.GiB = "/var/lib", 10
	return s
}

func TestRead(t *testing.T) {
	changed := defaults()
	changed.Timeout, changed.Disk.GiB, changed.Peers = 1500*time.Millisecond, 20, []string{"a"}
	for name, tc := range map[string]struct {
		text string
		want settings
	}{
		"nothing":       {"", defaults()},
		"only comments": {"# listen: x\n", defaults()},
		"yaml":          {"timeout: 1.5s\npeers: [a]\ndisk:\n  gib: 20\n", changed},
		"json":          {`{"timeout": "1.5s", "peers": ["a"], "disk": {"gib": 20}}`, changed},
	} {
		got, err := Read(strings.NewReader(tc.text), defaults())
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, says string }{
		"unknown key":       {"lisen: x\n", "lisen"},
		"unknown inner key": {"disk: {gb: 3}\n", "gb"},
		"key twice":         {"listen: a\nlisten: b\n", "listen"},
		"wrong kind":        {"timeout: soon\n", "soon"},
		"two documents":     {"listen: a\n---\nlisten: b\n", "more than one"},
		"not yaml":          {"\t{", ""},
		"invalid value":     {"disk: {gib: 0}\n", "disk.gib"},
		"too long":          {"listen: a\n" + strings.Repeat("#\n", MaxSize), "longer"},
		"long in one piece": {"listen: " + strings.Repeat("a", MaxSize), "longer"},
		"billion laughs":    {laughs(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(tc.text), defaults())
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error that says %q", err, tc.says)
			}
		})
	}
}

// laughs is a small text that would unfold to a huge list.
func laughs() string {
	text := "peers: &a [x,x,x,x,x,x,x,x,x]\n"
	names := "abcdefghij"
	for i := range len(names) - 1 {
		ref := "*" + names[i:i+1]
		text += names[i+1:i+2] + ": &" + names[i+1:i+2] + " [" + strings.Repeat(ref+",", 8) + ref + "]\n"
	}
	return text
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.yaml")
	if _, err := Load(path, defaults()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if err := os.WriteFile(path, []byte("listen: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, defaults())
	if err != nil || got.Listen != "here" || got.Disk.GiB != 10 {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nope: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, defaults()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v does not name the file", err)
	}
}
