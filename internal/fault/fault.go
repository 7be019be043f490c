// Package fault gives code named points where a test of the whole process can make things go wrong: die, fail or wait.
// Without the environment variable FAULT_POINTS every point does nothing.
//
//	FAULT_POINTS=disk.attached=kill,report.sent=err@3,settle=delay:200ms
//
// kills the process at the first point, makes the second fail when it is reached for the third time only, and makes the
// third wait each time. An action without @N happens each time.
package fault

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Env is the environment variable that names the points and what happens there.
const Env = "FAULT_POINTS"

// ErrInjected is what a point told to fail returns.
var ErrInjected = errors.New("injected fault")

type action struct {
	kill  bool
	delay time.Duration // instead of an error
	on    int64         // the visit it happens at; 0 means each
	seen  atomic.Int64
}

// points is read once a process: faults are set from outside, before it starts.
var points = sync.OnceValues(func() (map[string]*action, error) { return parse(os.Getenv(Env)) }) //nolint:gochecknoglobals // see above

// Point does what FAULT_POINTS says of name; usually nothing, and returns nil. If FAULT_POINTS cannot be understood,
// every point returns an error that says so.
func Point(name string) error {
	all, err := points()
	if err != nil {
		return err
	}
	a, ok := all[name]
	if !ok {
		return nil
	}
	return a.do(name)
}

func (a *action) do(name string) error {
	if n := a.seen.Add(1); a.on != 0 && n != a.on {
		return nil
	}
	switch {
	case a.kill:
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGKILL); err != nil {
			return fmt.Errorf("%s: kill: %w", name, err)
		}
		select {} // until the signal arrives
	case a.delay > 0:
		time.Sleep(a.delay)
		return nil
	default:
		return fmt.Errorf("%s: %w", name, ErrInjected)
	}
}

func parse(spec string) (map[string]*action, error) {
	all := make(map[string]*action)
	for item := range strings.SplitSeq(spec, ",") {
		if item == "" {
			continue
		}
		name, what, _ := strings.Cut(item, "=")
		what, visit, counted := strings.Cut(what, "@")
		a := new(action)
		var err error
		if counted {
			a.on, err = strconv.ParseInt(visit, 10, 64)
		}
		kind, amount, _ := strings.Cut(what, ":")
		switch {
		case kind == "kill" && amount == "":
			a.kill = true
		case kind == "delay" && err == nil:
			a.delay, err = time.ParseDuration(amount)
		case kind != "err" || amount != "":
			err = errors.New("want kill, err or delay:DURATION, and @N or nothing")
		}
		if err != nil || name == "" || all[name] != nil || a.on < 0 || counted && a.on == 0 {
			return nil, fmt.Errorf("%s: %q is unsupported: %w", Env, item, errors.Join(err, errors.ErrUnsupported))
		}
		all[name] = a
	}
	return all, nil
}
