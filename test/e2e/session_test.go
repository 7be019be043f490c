package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/internal/testkit"
)

// session is an SSH session in which the VM counts, from 0 and without a gap.
type session struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	errOut strings.Builder

	mu    sync.Mutex
	next  int   // the number that must come now
	wrong error // what came instead
	ended bool
}

// openSession logs in and returns when the VM counts.
func openSession(t *testing.T, u *demo.Tenant, vm string) *session {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &session{cancel: cancel}
	s.cmd = u.Command(ctx, "ssh", "-i", u.Key(), vm, "i=0; while echo $i; do i=$((i+1)); sleep 0.3; done")
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = &s.errOut
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			s.hear(lines.Text())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
	}()
	s.goesOn(t)
	return s
}

func (s *session) hear(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, err := strconv.Atoi(line); (err != nil || n != s.next) && s.wrong == nil {
		s.wrong = fmt.Errorf("%q came, want %d", line, s.next)
	}
	s.next++
}

// count tells how far it is; an error if it ended or left something out.
func (s *session) count() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.next, errors.Join(fmt.Errorf("the session ended at %d", s.next), s.wrong)
	}
	return s.next, s.wrong
}

// goesOn waits until the VM has counted on for a while.
func (s *session) goesOn(t *testing.T) {
	t.Helper()
	const steps = 6
	start, err := s.count()
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		now, err := s.count()
		if err == nil && now < start+steps {
			err = fmt.Errorf("the session is at %d, was at %d", now, start)
		}
		return err
	})
}

// close ends it, however it is.
func (s *session) close() {
	s.cancel()
	_ = s.cmd.Wait() // interrupted, or the VM is gone
}
