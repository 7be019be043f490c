package demo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Tenant is somebody with a folder, an SSH key and the command line.
type Tenant struct {
	// Program is the path of hippius.
	Program string
	// Dir holds the wallet and keys.
	Dir string
	// Agent is the socket of an ssh-agent; empty for none.
	Agent string
	// Env is added to that of the command line.
	Env []string
	// Out shows commands and what they print.
	Out io.Writer
}

// NewTenant makes the folder's keys and passphrase.
func NewTenant(program, dir string, out io.Writer) (*Tenant, error) {
	t := &Tenant{Program: program, Dir: dir, Out: out}
	if err := os.MkdirAll(t.path("home"), 0o700); err != nil {
		return nil, fmt.Errorf("tenant's folder: %w", err)
	}
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails
	if err := os.WriteFile(t.path("passphrase"), fmt.Appendf(nil, "%x\n", secret), 0o600); err != nil {
		return nil, fmt.Errorf("tenant's passphrase: %w", err)
	}
	return t, t.makeKey()
}

func (t *Tenant) path(name string) string { return filepath.Join(t.Dir, name) }

// Key is the path of the private SSH key; the public one ends in .pub.
func (t *Tenant) Key() string { return t.path("id_ed25519") }

func (t *Tenant) makeKey() error {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "tenant")
	if err != nil {
		return fmt.Errorf("make SSH key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return fmt.Errorf("make SSH key: %w", err)
	}
	return errors.Join(
		os.WriteFile(t.Key(), pem.EncodeToMemory(block), 0o600),
		os.WriteFile(t.Key()+".pub", ssh.MarshalAuthorizedKey(sshPub), 0o600),
	)
}

// Home is the folder the command line keeps its things in.
func (t *Tenant) Home() string { return t.path("home") }

// PassphraseFile holds what opens the wallet.
func (t *Tenant) PassphraseFile() string { return t.path("passphrase") }

// Command is one call of the command line.
func (t *Tenant) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.Program, args...)
	cmd.Env = append(os.Environ(),
		"HIPPIUS_HOME="+t.path("home"), "HIPPIUS_PASSPHRASE_FILE="+t.path("passphrase"), "SSH_AUTH_SOCK="+t.Agent)
	cmd.Env = append(cmd.Env, t.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Run calls the command line, showing the call and what it prints, and gives its standard output.
func (t *Tenant) Run(ctx context.Context, args ...string) (string, error) {
	_, _ = fmt.Fprintf(t.Out, "  $ hippius %s\n", words(args))
	var stdout bytes.Buffer
	show := &indent{w: t.Out}
	cmd := t.Command(ctx, args...)
	// Progress is shown as it comes, the result after it.
	cmd.Stdout, cmd.Stderr = &stdout, show
	err := cmd.Run()
	if _, werr := show.Write(stdout.Bytes()); werr != nil {
		return "", fmt.Errorf("show what hippius printed: %w", werr)
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("hippius %s: %w", words(args), err)
	}
	return stdout.String(), nil
}

// JSON calls the command line quietly and reads its answer into v.
func (t *Tenant) JSON(ctx context.Context, v any, args ...string) error {
	var stdout, stderr bytes.Buffer
	cmd := t.Command(ctx, append(args, "-o", "json")...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("hippius %s: %w: %s", words(args), err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(stdout.Bytes(), v); err != nil {
		return fmt.Errorf("hippius %s: %w", words(args), err)
	}
	return nil
}

// SSH runs a command on a VM as its user would.
func (t *Tenant) SSH(ctx context.Context, vm, command string) (string, error) {
	return t.Run(ctx, "ssh", "-i", t.Key(), vm, command)
}

func words(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " ;|&'\"$") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out[i] = a
	}
	return strings.Join(out, " ")
}

// indent sets what is printed apart from what was typed.
type indent struct {
	w      io.Writer
	middle bool
}

func (i *indent) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if !i.middle {
			if _, err := io.WriteString(i.w, "    "); err != nil {
				return 0, err
			}
		}
		if _, err := i.w.Write(line); err != nil {
			return 0, err
		}
		i.middle = line[len(line)-1] != '\n'
	}
	return len(p), nil
}
