package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/hippius/compute/internal/wallet"
)

// maxSecretLine bounds a passphrase or a seed phrase, in bytes.
const maxSecretLine = 1024

// passphrase reads the wallet's passphrase: from --passphrase-file, else from
// the terminal without echo. It never comes from the command line's arguments.
func (c *command) passphrase(prompt string) (string, error) {
	if c.passphraseFile != "" {
		return wallet.ReadPassphrase(c.passphraseFile)
	}
	return c.readSecret(prompt)
}

// newPassphrase asks twice.
func (c *command) newPassphrase() (string, error) {
	p, err := c.passphrase("New passphrase for the wallet: ")
	if err != nil || c.passphraseFile != "" {
		return p, err
	}
	again, err := c.passphrase("Once more: ")
	if err != nil {
		return "", err
	}
	if p != again {
		return "", errors.New("the two passphrases differ; nothing was written")
	}
	return p, nil
}

// readSecret reads a line from the terminal without echo.
func (c *command) readSecret(prompt string) (string, error) {
	f, ok := c.env.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", withHint(errors.New("a passphrase is needed and there is no terminal to ask on"),
			"put it into a file of mode 0600 and give --passphrase-file FILE, or set HIPPIUS_PASSPHRASE_FILE")
	}
	_, _ = fmt.Fprint(c.env.Err, prompt)
	b, err := term.ReadPassword(int(f.Fd()))
	_, _ = fmt.Fprintln(c.env.Err)
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	return string(b), nil
}

// confirm asks a yes/no question; without a terminal the answer is no.
func (c *command) confirm(question string) (bool, error) {
	if !c.env.Interactive {
		return false, nil
	}
	_, _ = fmt.Fprintf(c.env.Err, "%s [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(c.env.In, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	default:
		return false, nil
	}
}

// firstLine reads one bounded line, without its newline.
func firstLine(r io.Reader, what string) (string, error) {
	line, err := bufio.NewReaderSize(io.LimitReader(r, maxSecretLine+1), maxSecretLine+1).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	line = strings.TrimRight(line, "\r\n")
	if len(line) > maxSecretLine {
		return "", fmt.Errorf("%s is longer than %d bytes", what, maxSecretLine)
	}
	if line == "" {
		return "", fmt.Errorf("%s is empty", what)
	}
	return line, nil
}
