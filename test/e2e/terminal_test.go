package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/internal/testkit"
)

// person is somebody at a terminal, with one command running on it.
type person struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu   sync.Mutex
	seen bytes.Buffer
	read int // how much of seen was expected already
	done chan struct{}
}

// atTerminal starts the command line as a process with a terminal of its own.
func atTerminal(t *testing.T, home string, args ...string) *person {
	t.Helper()
	master, slave := testkit.Terminal(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = []string{beTool + "=1", "HOME=" + home, "PATH=" + os.Getenv("PATH"), "HIPPIUS_HOME=" + home}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil { // the command has it
		t.Fatal(err)
	}
	p := &person{t: t, master: master, cmd: cmd, done: make(chan struct{})}
	go p.watch()
	return p
}

func (p *person) watch() {
	defer close(p.done)
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.seen.Write(buf[:n])
		p.mu.Unlock()
		if err != nil { // the terminal has nobody any more
			return
		}
	}
}

// sees waits until the terminal shows words, after what was seen before.
func (p *person) sees(words string) {
	p.t.Helper()
	p.seesLike(regexp.QuoteMeta(words))
}

// seesLike waits for what the pattern tells, and gives it.
func (p *person) seesLike(pattern string) (shown string) {
	p.t.Helper()
	like := regexp.MustCompile(pattern)
	testkit.Eventually(p.t, time.Minute, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		rest := p.seen.String()[p.read:]
		at := like.FindStringIndex(rest)
		if at == nil {
			return fmt.Errorf("%q is not on the terminal:\n%s", pattern, rest)
		}
		shown = rest[at[0]:at[1]]
		p.read += at[1]
		return nil
	})
	return shown
}

// types presses keys.
func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the command, which must end with this status, and gives all that was on the terminal.
func (p *person) ends(status int) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	stop()
	<-p.done
	if closed := p.master.Close(); closed != nil {
		p.t.Error(closed)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Errorf("%s: exit status %d, want %d\n%s", strings.Join(p.cmd.Args, " "), got, status, p.seen.String())
	}
	return p.seen.String()
}

// What a person at a terminal is asked, and what mistakes cost.
func TestAtATerminal(t *testing.T) {
	n := fakeNetwork(t, func(c *devnet.Config) { c.Miners = 0 })
	home := filepath.Join(testkit.ShortDir(t), "home")
	const pass, wrong = "correct horse battery", "incorrect horse battery"

	p := atTerminal(t, home, "login", "--network", n.Profile())
	p.sees("New passphrase for the wallet: ")
	p.types("short\n")
	p.sees("the passphrase has 5 characters; at least 8 are accepted. Try again.")
	p.sees("New passphrase for the wallet: ")
	p.types(pass + "\n")
	p.sees("Once more: ")
	p.types(wrong + "\n")
	p.sees("the two passphrases differ; no wallet was written. Try again.")
	p.sees("New passphrase for the wallet: ")
	p.types(pass + "\n")
	p.sees("Once more: ")
	p.types(pass + "\n")
	p.sees("Write it down now")
	p.sees("Account:")
	shown := p.ends(0)
	if strings.Contains(shown, "horse battery") {
		t.Errorf("a passphrase was shown:\n%s", shown)
	}
	if lines := regexp.MustCompile(`(?m)^  ([a-z]+ ){5}[a-z]+\r$`).FindAllString(shown, -1); len(lines) != 4 {
		t.Errorf("the seed phrase is not four lines of six words:\n%s", shown)
	}

	p = atTerminal(t, home, "billing", "buy", "30") // needs no passphrase
	p.sees("Balance:")
	p.ends(0)

	// A mistyped passphrase is asked for again, three times in all.
	key := (&tenant{t: t}).publicKey()
	p = atTerminal(t, home, "key", "add", "laptop", key)
	p.sees("Passphrase of the wallet: ")
	p.types(wrong + "\n")
	p.sees("The passphrase is wrong. Try again.")
	p.sees("Passphrase of the wallet: ")
	p.types(pass + "\n")
	p.sees("Key laptop added")
	p.ends(0)
	p = atTerminal(t, home, "key", "rm", "laptop")
	for range 3 {
		p.sees("Passphrase of the wallet: ")
		p.types("\n")
	}
	p.sees("the passphrase is wrong")
	p.sees("hint: ")
	p.ends(1)

	// Ctrl-C ends a question, and what was asked for is not done.
	p = atTerminal(t, home, "vm", "create", "web-1", "--plan", "spark", "--image", "tiny")
	p.sees("Passphrase of the wallet: ")
	p.types("half a passphrase\x03")
	p.sees("interrupted")
	p.ends(130)

	// The last line's seconds run; Ctrl-C leaves the VM alone.
	p = atTerminal(t, home, "vm", "create", "web-1", "--plan", "spark", "--image", "tiny", "--wait")
	p.sees("Passphrase of the wallet: ")
	p.types(pass + "\n")
	const seconds = `\r +[0-9]+\.[0-9]s  pending`
	for first := p.seesLike(seconds); p.seesLike(seconds) == first; { // at least one is later
	}
	p.types("\x03")
	p.sees("interrupted; web-1 is pending")
	p.ends(130)

	for answer, ends := range map[string]int{"n\n": 0, "\x03": 130} {
		p = atTerminal(t, home, "vm", "rm", "web-1")
		p.sees("Terminate web-1 (100.")
		p.sees(") and delete its disk? [y/N] ")
		p.types(answer)
		if ends == 0 {
			p.sees("Nothing was changed.")
		}
		p.ends(ends)
	}
	p = atTerminal(t, home, "vm", "show", "web-1")
	p.sees("Phase:")
	p.ends(0)
	p = atTerminal(t, home, "vm", "rm", "web-1")
	p.sees("[y/N] ")
	p.types("y\n")
	p.sees("Passphrase of the wallet: ")
	p.types(pass + "\n")
	p.sees("web-1 terminates")
	p.ends(0)
}
