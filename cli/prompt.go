package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/hippius/compute/internal/wallet"
)

const (
	// maxSecretFile bounds a file with a seed phrase, in bytes.
	maxSecretFile = 1024
	// askAgain is how often a person may mistype a passphrase.
	askAgain = 3
)

// passphrase reads the wallet's passphrase: from --passphrase-file, else from
// the terminal without echo. It never comes from the command line's arguments.
func (c *command) passphrase(ctx context.Context, prompt string) (string, error) {
	if c.passphraseFile != "" {
		return wallet.ReadPassphrase(c.passphraseFile)
	}
	return c.readSecret(ctx, prompt)
}

// newPassphrase asks twice, and again if it is too short or mistyped.
func (c *command) newPassphrase(ctx context.Context) (string, error) {
	for attempt := 1; ; attempt++ {
		p, err := c.passphrase(ctx, "New passphrase for the wallet: ")
		if err != nil {
			return "", err
		}
		problem := error(nil)
		if len(p) < wallet.MinPassphrase {
			problem = fmt.Errorf("the passphrase has %d characters; at least %d are accepted", len(p), wallet.MinPassphrase)
		}
		if c.passphraseFile != "" {
			return p, problem
		}
		if problem == nil {
			again, err := c.passphrase(ctx, "Once more: ")
			if err != nil {
				return "", err
			}
			if p == again {
				return p, nil
			}
			problem = errors.New("the two passphrases differ; no wallet was written")
		}
		if attempt == askAgain {
			return "", problem
		}
		_, _ = fmt.Fprintf(c.env.Err, "%s. Try again.\n", problem)
	}
}

// terminal is the input, if a person may be asked on it.
func (c *command) terminal() (*os.File, bool) {
	f, ok := c.env.In.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// readSecret reads a line from the terminal without echo, until ctx ends.
func (c *command) readSecret(ctx context.Context, prompt string) (string, error) {
	f, ok := c.terminal()
	if !ok {
		return "", withHint(errors.New("a passphrase is needed and there is no terminal to prompt on"),
			"write it to a file of mode 0600 and use --passphrase-file FILE, or set HIPPIUS_PASSPHRASE_FILE")
	}
	fd := int(f.Fd())
	state, err := term.GetState(fd)
	if err == nil {
		err = echoOff(fd)
	}
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	defer func() { _ = term.Restore(fd, state) }() // nothing else can be done
	_, _ = fmt.Fprint(c.env.Err, prompt)
	secret, err := await(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
	_, _ = fmt.Fprintln(c.env.Err)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, io.EOF):
		return "", errors.New("nothing was typed")
	case err != nil:
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	return secret, nil
}

// await runs a read that cannot be interrupted, but not beyond ctx. A read
// that is left alone ends with the program, which ctx's end means.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case a := <-got:
		return a.text, a.err
	}
}

// confirm asks a yes/no question; without a terminal the answer is no.
func (c *command) confirm(ctx context.Context, question string) (bool, error) {
	if !c.env.Interactive {
		return false, nil
	}
	_, _ = fmt.Fprintf(c.env.Err, "%s [y/N] ", question)
	line, err := await(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(c.env.In, 64)).ReadString('\n')
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	default:
		return false, nil
	}
}

// readPhrase reads a seed phrase, over as many lines as it was written on.
func readPhrase(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read seed phrase: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("read seed phrase: %w", err)
	}
	if len(data) > maxSecretFile {
		return "", fmt.Errorf("%s has more than %d bytes; it is not a seed phrase", path, maxSecretFile)
	}
	return string(data), nil
}
