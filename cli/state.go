package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/hippius/compute/internal/wallet"
)

// maxStateFile bounds a file of the home folder that is read whole, in bytes.
const maxStateFile = 1 << 20

func (c *command) path(name string) string { return filepath.Join(c.env.Home, name) }

// Names within the home folder.
const (
	profileFile = "network.json"
	walletFile  = "wallet.json"
	deviceFile  = "device.json"
	deviceSock  = "device.sock"
	deviceLock  = "device.lock"
)

func (c *command) walletFile() wallet.File {
	return wallet.File{Path: c.path(walletFile)}
}

// address of the logged-in account; needs no passphrase.
func (c *command) address() (string, error) {
	addr, err := c.walletFile().Address()
	if errors.Is(err, fs.ErrNotExist) {
		return "", withHint(errors.New("you are not logged in"), "run 'hippius login --network FILE'")
	}
	return addr, err
}

// openWallet asks for the passphrase and opens the wallet.
func (c *command) openWallet() (*wallet.Wallet, error) {
	if _, err := c.address(); err != nil {
		return nil, err
	}
	pass, err := c.passphrase("Passphrase of the wallet: ")
	if err != nil {
		return nil, err
	}
	w, err := c.walletFile().Open(pass)
	if errors.Is(err, wallet.ErrPassphrase) {
		return nil, withHint(err, "try again, or import the wallet from its seed phrase with 'hippius login --import'")
	}
	return w, err
}

// ensureHome makes the home folder, private to the user.
func (c *command) ensureHome() error {
	if err := os.MkdirAll(c.env.Home, 0o700); err != nil {
		return fmt.Errorf("make settings folder: %w", err)
	}
	info, err := os.Stat(c.env.Home)
	if err != nil {
		return fmt.Errorf("look at settings folder: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return withHint(fmt.Errorf("settings folder %s is open to others (mode %04o)", c.env.Home, info.Mode().Perm()),
			"chmod 700 %s", c.env.Home)
	}
	return nil
}

// writeState writes v as JSON, mode 0600; the old content or the new survives a crash.
func (c *command) writeState(name string, v any) error {
	if err := c.ensureHome(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if err := renameio.WriteFile(c.path(name), append(data, '\n'), 0o600, renameio.WithExistingPermissions()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// readState reads what writeState wrote; fs.ErrNotExist if there is none.
func (c *command) readState(name string, v any) error {
	info, err := os.Stat(c.path(name))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if info.Size() > maxStateFile {
		return fmt.Errorf("read %s: %d bytes are more than the %d accepted", c.path(name), info.Size(), maxStateFile)
	}
	data, err := os.ReadFile(c.path(name))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", c.path(name), err)
	}
	return nil
}
