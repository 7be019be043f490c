package guest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	wire "github.com/hippius/compute/core/guest"
)

// A listener that began at about the time the key arrived may have read its
// keys before: it is told to read them again. One that began well after is not.
func TestOnlyAListenerThatMayNotKnowTheKeyIsReloaded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		started time.Duration
		reload  bool
	}{
		"began before":     {-time.Second, true},
		"began just after": {time.Second, true},
		"began well after": {readMargin + 5*time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			put := func(file, text string) {
				t.Helper()
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// A process that dies of SIGHUP stands for sshd. What is started while the signal is caught here has its default
			// action, also where it was ignored before, as under nohup.
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, syscall.SIGHUP)
			t.Cleanup(func() { signal.Stop(caught) })
			sshd := exec.CommandContext(t.Context(), "sleep", "60")
			if err := sshd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				_ = sshd.Wait() // how it ends is what the test asks
				close(ended)
			}()
			pid := sshd.Process.Pid
			m := &System{Root: root}
			began := m.Uptime() + c.started
			put("run/sshd.pid", fmt.Sprintln(pid))
			put(fmt.Sprintf("proc/%d/stat", pid),
				fmt.Sprintf("%d (sshd) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 0 0\n", pid, began.Milliseconds()/10))
			a := New(Config{System: m, Log: slog.New(slog.DiscardHandler), Pause: 40 * time.Millisecond})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := a.keepHostKey(ctx, wire.Config{SSHHostKey: "key", SSHHostCert: "cert"}); err != nil {
				t.Fatal(err)
			}
			within := 10 * time.Second
			if !c.reload {
				within = 300 * time.Millisecond // a signal was sent before the return, if any
			}
			select {
			case <-ended:
				if !c.reload {
					t.Error("it was told to reload")
				}
			case <-time.After(within):
				if c.reload {
					t.Error("it was not told to reload")
				}
			}
		})
	}
}
