package vm

import (
	"strings"
	"testing"
)

func goodSpec() Spec {
	return Spec{
		Name: "web-1", Plan: "spark", Image: "debian-12", Apps: []string{"docker"},
		SSHKeys: []string{"laptop"}, MeshAddress: "100.64.0.2", HostCA: make([]byte, HostCASize),
	}
}

func TestSpecValidate(t *testing.T) {
	if err := goodSpec().Validate(); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 20)
	for i := range many {
		many[i] = "n" + strings.Repeat("x", i)
	}
	for name, spoil := range map[string]func(*Spec){
		"VM name is missing":        func(s *Spec) { s.Name = "" },
		"beginning with a letter":   func(s *Spec) { s.Name = "-web" },
		"a-z, 0-9 and -":            func(s *Spec) { s.Name = "Web" },
		"at most 63":                func(s *Spec) { s.Name = strings.Repeat("a", 64) },
		"plan":                      func(s *Spec) { s.Plan = "sp ark" },
		"image":                     func(s *Spec) { s.Image = "" },
		"named twice":               func(s *Spec) { s.Apps = []string{"a", "a"} },
		"at most 8":                 func(s *Spec) { s.Apps = many },
		"no SSH key is named":       func(s *Spec) { s.SSHKeys = nil },
		"times SSH key; at most 16": func(s *Spec) { s.SSHKeys = many },
		"times miner; at most 16":   func(s *Spec) { s.Miners = many },
		"user data hash":            func(s *Spec) { s.UserDataHash = make([]byte, 31) },
		"host CA key":               func(s *Spec) { s.HostCA = nil },
		"mesh address":              func(s *Spec) { s.MeshAddress = "100.64.0.2/26" },
		"usual form":                func(s *Spec) { s.MeshAddress = "fd68:0:0:0::2" },
		"priority 1001":             func(s *Spec) { s.Priority = 1001 },
		"region":                    func(s *Spec) { s.Region = "e u" },
		"spread group":              func(s *Spec) { s.SpreadGroup = "A" },
	} {
		s := goodSpec()
		spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v", name, err)
		}
	}
}
