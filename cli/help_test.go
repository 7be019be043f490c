package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// Every command says in a line what it does, shows how, and fits the screen.
func TestHelpOfEveryCommand(t *testing.T) {
	d := newDesk(t)
	root := New(d.env)
	root.InitDefaultHelpCmd()
	count := 0
	walk(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Hidden || cmd.Name() == "help" {
			return
		}
		count++
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its short description is %q", path, cmd.Short)
		}
		if !strings.Contains(cmd.Example, "hippius") {
			t.Errorf("%s has no example", path)
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", path, line)
			}
		}
		status, help, _ := d.run(t, append(strings.Fields(path)[1:], "--help")...)
		if status != 0 {
			t.Errorf("%s --help: status %d", path, status)
		}
		for line := range strings.Lines(help) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpWidth {
				t.Errorf("%s: a line of its help has %d characters: %s", path, n, line)
			}
			for _, untold := range []string{" string ", "stringArray", "uint32", "duration"} {
				if strings.HasPrefix(strings.TrimSpace(line), "-") && strings.Contains(line, untold) {
					t.Errorf("%s: a flag's value has no name: %s", path, line)
				}
			}
		}
		for _, want := range []string{"Usage:\n", "Examples:\n", "--home DIR"} {
			if !strings.Contains(help, want) {
				t.Errorf("%s: %q is not in its help\n%s", path, want, help)
			}
		}
	})
	if count < 30 {
		t.Errorf("only %d commands", count)
	}
}

// Examples are commands that exist, with flags that exist.
func TestExamplesAreRight(t *testing.T) {
	d := newDesk(t)
	walk(New(d.env), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, " #")
			_, line, found := strings.Cut(line, "hippius ")
			if !found || strings.HasPrefix(cmd.Name(), "completion") || cmd.Name() == "ssh-proxy" {
				continue
			}
			root := New(d.env)
			target, rest, err := root.Find(strings.Fields(line))
			if err != nil {
				t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
				continue
			}
			if err := target.ParseFlags(rest); err != nil {
				t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
				continue
			}
			if err := target.ValidateArgs(target.Flags().Args()); err != nil {
				t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
			}
		}
	})
}

func TestWrongCalls(t *testing.T) {
	d := newDesk(t)
	for call, words := range map[string]string{
		"vmm":                          `there is no command "vmm"` + "\nhint: did you mean 'hippius vm'?",
		"nonsense":                     `there is no command "nonsense"` + "\nhint: see 'hippius --help'",
		"vm stat":                      `hippius vm: there is no command "stat"` + "\nhint: did you mean 'hippius vm start'?",
		"vm lss":                       `hippius vm: there is no command "lss"` + "\nhint: did you mean 'hippius vm ls'?",
		"billing bye 5":                `hippius billing: there is no command "bye"`,
		"vm show":                      "hippius vm show: arguments are missing\nhint: usage: hippius vm show VM",
		"vm show a b":                  "hippius vm show: accepts 1 argument, received 2\nhint: usage: hippius vm show VM",
		"whoami me":                    "accepts 0 arguments, received 1",
		"key add laptop":               "accepts 2 arguments, received 1",
		"vm show a --colour":           "unknown flag: --colour\nhint: see 'hippius vm show --help'",
		"vm ls -o xml":                 `--output "xml": accepted are table, json and yaml`,
		"billing buy -5":               "hint: see 'hippius billing buy --help'",
		"billing buy 0":                "buy more than 0 credits",
		"billing buy ten":              `"ten" is not an amount of credits; use a number such as 10 or 2.5`,
		"vm create a --timeout 0s -w":  "use a duration greater than zero",
		"vm create a --timeout soon":   "invalid argument \"soon\"",
		"vm stop a --wait --timeout 0": "use a duration greater than zero",
		"vm resize a -w --timeout 0":   "use a duration greater than zero",
		"vm rebuild a -w --timeout 0":  "use a duration greater than zero",
		"vm rebuild":                   "arguments are missing\nhint: usage: hippius vm rebuild VM",
		"completion tcsh":              `unsupported "tcsh"; accepted are bash, zsh, fish, powershell`,
		"ssh":                          "arguments are missing",
		"ssh-proxy nowhere 22":         "use a mesh address such as 100.64.0.2 and a port",
		"login":                        "no network is chosen\nhint: give its profile",
	} {
		status, out, said := d.run(t, strings.Fields(call)...)
		if status != 2 || !strings.Contains(said, words) || out != "" {
			t.Errorf("%s: status %d, printed %q, said\n%s\nwant 2 and %q", call, status, out, said, words)
		}
	}
}

func TestGroupsShowTheirHelp(t *testing.T) {
	d := newDesk(t)
	for _, call := range []string{"", "vm", "key", "plan"} {
		status, out, said := d.run(t, strings.Fields(call)...)
		if status != 0 || !strings.Contains(out, "Usage:") || said != "" {
			t.Errorf("%q: status %d, printed %q, said %q", call, status, out, said)
		}
	}
}

func TestNotLoggedIn(t *testing.T) {
	d := newDesk(t)
	for _, call := range []string{
		"whoami", "billing", "billing buy 5", "plan ls", "image ls", "app ls", "miner ls", "miner show a", "key ls", "key rm a",
		"vm ls", "vm show a", "vm create a --plan spark --image debian-12", "vm start a", "vm rm a", "vm resize a --plan pulse", "vm rebuild a --image debian-12", "vm logs a", "ssh a",
	} {
		status, _, said := d.run(t, strings.Fields(call)...)
		if status != 1 || said != "error: you are not logged in\nhint: run 'hippius login --network FILE'\n" {
			t.Errorf("%s: status %d, said %q", call, status, said)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	d := newDesk(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if status, out, _ := d.run(t, "completion", shell); status != 0 || !strings.Contains(out, "hippius") {
			t.Errorf("%s: status %d", shell, status)
		}
	}
	// Without a chain there is nothing to complete with, and no noise.
	d.loggedIn(t)
	status, out, _ := d.run(t, "__complete", "vm", "show", "")
	if status != 0 || strings.TrimSpace(out) != ":4" {
		t.Errorf("status %d, printed %q", status, out)
	}
	if _, out, _ := d.run(t, "__complete", "vm", "ls", "-o", ""); !strings.Contains(out, "yaml\n") {
		t.Errorf("formats: %q", out)
	}
}
