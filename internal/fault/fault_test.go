package fault

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, err := parse("a=err,b=err@2,c=delay:2s")
		if err != nil {
			t.Fatal(err)
		}
		for visit := range 3 {
			if err := all["a"].do("a"); !errors.Is(err, ErrInjected) {
				t.Errorf("a, visit %d: %v", visit, err)
			}
			if err := all["b"].do("b"); errors.Is(err, ErrInjected) != (visit == 1) {
				t.Errorf("b, visit %d: %v", visit, err)
			}
			began := time.Now()
			if err := all["c"].do("c"); err != nil || time.Since(began) != 2*time.Second {
				t.Errorf("c, visit %d: %v after %v", visit, err, time.Since(began))
			}
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, spec := range []string{"a", "a=", "=kill", "a=explode", "a=err@", "a=err@0", "a=err@-1", "a=err@x", "a=delay", "a=delay:x", "a=kill:1", "a=err:1", "a=err,a=kill"} {
		if _, err := parse(spec); err == nil {
			t.Errorf("%q understood", spec)
		}
	}
}

// TestPoint runs this test binary again with the variable set, since a process reads it once.
func TestPoint(t *testing.T) {
	if os.Getenv("FAULT_TEST_CHILD") == "1" {
		if err := Point("elsewhere"); err != nil {
			os.Exit(3)
		}
		if err := Point("here"); err != nil {
			os.Exit(4)
		}
		os.Exit(0)
	}
	for spec, want := range map[string]struct {
		code   int
		signal syscall.Signal
	}{
		"":           {code: 0},
		"other=kill": {code: 0},
		"here=err":   {code: 4},
		"here=kill":  {code: -1, signal: syscall.SIGKILL},
		"here=maybe": {code: 3},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPoint$")
		cmd.Env = append(os.Environ(), "FAULT_TEST_CHILD=1", Env+"="+spec)
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || cmd.ProcessState.ExitCode() != want.code || want.signal != 0 && status.Signal() != want.signal {
			t.Errorf("%q: process ended with %v, want code %d, signal %v", spec, cmd.ProcessState, want.code, want.signal)
		}
	}
}
