package cli

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/internal/wallet"
)

func TestPassphraseFromAFile(t *testing.T) {
	d := newDesk(t)
	for content, want := range map[string]string{
		"correct horse battery\n": "correct horse battery", "with spaces  \r\nsecond line": "with spaces  ", "no newline": "no newline",
	} {
		d.passphraseFile = d.file(t, "pass", content)
		if got, err := d.passphrase(t.Context(), ""); err != nil || got != want {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
	d.passphraseFile = d.file(t, "pass", "\nsecond\n")
	if _, err := d.passphrase(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "first line is empty") {
		t.Errorf("empty: %v", err)
	}
	d.passphraseFile = d.file(t, "pass", "short\n")
	if _, err := d.newPassphrase(t.Context()); err == nil || !strings.Contains(err.Error(), "has 5 characters; at least 8") {
		t.Errorf("short: %v", err)
	}
	if err := os.Chmod(d.passphraseFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.passphrase(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "others can read it (mode 0644): make it 0600") {
		t.Errorf("open to others: %v", err)
	}
	d.passphraseFile = d.path("nothing")
	if _, err := d.passphrase(t.Context(), ""); err == nil || !strings.Contains(err.Error(), d.passphraseFile) {
		t.Errorf("missing: %v", err)
	}
}

func TestWithoutTerminalNobodyIsAsked(t *testing.T) {
	d := newDesk(t)
	d.env.In = strings.NewReader("a passphrase that is piped in\n")
	_, err := d.passphrase(t.Context(), "? ")
	if err == nil || !strings.Contains(err.Error(), "no terminal") || !strings.Contains(hint(err), "--passphrase-file") || d.err.Len() > 0 {
		t.Errorf("%v, hint %q, printed %q", err, hint(err), d.err.String())
	}
	if yes, err := d.confirm(t.Context(), "Sure?"); yes || err != nil || d.err.Len() > 0 {
		t.Errorf("got %v, %v, printed %q", yes, err, d.err.String())
	}
}

// askedOn notes whether the terminal would have shown what is typed at once when asked.
type askedOn struct {
	*os.File
	echoed bool
}

func (a *askedOn) Write(p []byte) (int, error) {
	if state, err := unix.IoctlGetTermios(int(a.Fd()), unix.TCGETS); err != nil || state.Lflag&unix.ECHO != 0 {
		a.echoed = true
	}
	return a.File.Write(p)
}

func TestPassphraseIsNotShownHoweverSoonItIsTyped(t *testing.T) {
	d := newDesk(t)
	person, program := testkit.Terminal(t)
	asked := &askedOn{File: program}
	d.env.In, d.env.Err = program, asked
	if _, err := person.WriteString("correct horse\n"); err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(program.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.passphrase(t.Context(), "Passphrase: ")
	if err != nil || got != "correct horse" {
		t.Errorf("got %q, %v", got, err)
	}
	if asked.echoed {
		t.Error("the terminal echoes while it asks")
	}
	if after, err := term.GetState(int(program.Fd())); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the terminal was left otherwise than it was: %v", err)
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "": false, "yep\n": false} {
		d := newDesk(t)
		d.env.Interactive, d.env.In = true, strings.NewReader(answer)
		if got, err := d.confirm(t.Context(), "Sure?"); got != want || err != nil || d.err.String() != "Sure? [y/N] " {
			t.Errorf("%q: got %v, %v, printed %q", answer, got, err, d.err.String())
		}
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	block := make(chan struct{})
	defer close(block)
	cancel()
	if _, err := await(ctx, func() (string, error) { <-block; return "", nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWalletLifeWithoutANetwork(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	d.passphraseFile = d.file(t, "passphrase", testPassphrase)
	backup := d.path("phrase.txt")
	if err := d.useWallet(ctx, loginFlags{backup: backup}); err != nil {
		t.Fatal(err)
	}
	made, err := d.address()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("seed phrase has mode %v, %v", info.Mode(), err)
	}
	if err := d.useWallet(ctx, loginFlags{backup: backup}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a seed phrase was written over another: %v", err)
	}
	if err := d.useWallet(ctx, loginFlags{importing: backup}); err == nil || !strings.Contains(err.Error(), "a wallet already exists") {
		t.Errorf("import over a wallet: %v", err)
	}

	// The phrase brings the account back elsewhere, however it was written down.
	phrase, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, written := range []string{string(phrase), strings.ReplaceAll(string(phrase), " ", "\n"), phraseLines(string(phrase)), strings.ToUpper(string(phrase))} {
		e := newDesk(t)
		e.passphraseFile = e.file(t, "passphrase", "another passphrase")
		if err := e.useWallet(ctx, loginFlags{importing: e.file(t, "paper", written)}); err != nil {
			t.Fatal(err)
		}
		if got, err := e.address(); err != nil || got != made {
			t.Errorf("%q brings back %s, %v; want %s", written, got, err, made)
		}
		if _, err := e.openWallet(ctx); err != nil {
			t.Error(err)
		}
	}

	d.passphraseFile = d.file(t, "wrong", "not the passphrase")
	if _, err := d.openWallet(ctx); !errors.Is(err, wallet.ErrPassphrase) || !strings.Contains(hint(err), "--import") {
		t.Errorf("wrong passphrase: %v, hint %q", err, hint(err))
	}
}

func TestBadPhrasesAreRefused(t *testing.T) {
	d := newDesk(t)
	d.passphraseFile = d.file(t, "passphrase", testPassphrase)
	for content, words := range map[string]string{
		"": "has 0 words", "abandon about\n": "it needs 12, 15, 18, 21 or 24",
		strings.Repeat("abandon ", 12): "misspelt, missing or in the wrong place", strings.Repeat("x", 2000): "not a seed phrase",
	} {
		err := d.useWallet(t.Context(), loginFlags{importing: d.file(t, "paper", content)})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.20q: %v", content, err)
		}
	}
	if _, err := os.Stat(d.path(walletFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a wallet was written: %v", err)
	}
	if err := d.useWallet(t.Context(), loginFlags{importing: d.path("nothing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
