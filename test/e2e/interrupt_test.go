package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hippius/compute/internal/leftover"
	"github.com/hippius/compute/internal/testkit"
)

// interruptedTag is in the names of all that these networks make.
const interruptedTag = "hipti"

// Ctrl-C leaves nothing of a network behind, whatever it was doing.
func TestInterrupted(t *testing.T) {
	needReal(t)
	for _, s := range []struct {
		name, words string // what is printed when Ctrl-C comes
		args        []string
		status      int
	}{
		{"while it begins", "== the network", []string{"up"}, 130},
		{"while miners start", "program=miner0", []string{"up"}, 130},
		{"when it is up", "Ctrl-C ends it", []string{"up"}, 0},
		{"while a VM boots", "provisioning", []string{"demo", "--image", "tiny", "--app", "", "--hello", "id", "--hello-word", "hippius"}, 130},
	} {
		t.Run(s.name, func(t *testing.T) {
			before, err := leftover.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			temp := testkit.ShortDir(t)
			interrupted(t, temp, s.words, s.status, append(s.args, "--verbose", "--tag", interruptedTag)...)
			after, err := leftover.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, left := range append(after.Since(before), processesOf(t, temp)...) {
				if strings.Contains(left, interruptedTag) || strings.Contains(left, temp) {
					t.Errorf("left behind: %s", left)
				}
			}
			if files, err := os.ReadDir(temp); err != nil || len(files) != 0 {
				t.Errorf("left behind: %v, %v", files, err)
			}
		})
	}
}

// interrupted runs hippius-devnet and presses Ctrl-C once it has printed words:
// the signal goes to all that runs at the terminal.
func interrupted(t *testing.T, temp, words string, status int, args ...string) {
	t.Helper()
	root := repository(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "build/bin/hippius-devnet"), args...)
	var out buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &out, &out
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	testkit.Eventually(t, 3*time.Minute, func() error {
		if len(ended) > 0 {
			t.Fatalf("it ended by itself:\n%s", out.String())
		}
		if !strings.Contains(out.String(), words) {
			return fmt.Errorf("%q is not printed:\n%s", words, out.String())
		}
		return nil
	})
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(out.String(), "nothing is left behind") {
		t.Errorf("exit status %d, want %d\n%s", got, status, out.String())
	}
}

// processesOf finds those with a folder in their arguments.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(dir)) {
			found = append(found, "process "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
