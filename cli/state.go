package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hippius/compute/internal/privatefile"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

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
	return wallet.File{Path: c.path(walletFile), WorkFactor: c.env.WorkFactor}
}

// address of the logged-in account; needs no passphrase.
func (c *command) address() (string, error) {
	addr, err := c.walletFile().Address()
	if errors.Is(err, fs.ErrNotExist) {
		return "", withHint(errors.New("you are not logged in"), "run 'hippius login --network FILE'")
	}
	return addr, err
}

// openWallet asks for the passphrase and opens the wallet. A person may mistype it.
func (c *command) openWallet(ctx context.Context) (*wallet.Wallet, error) {
	if _, err := c.address(); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		pass, err := c.passphrase(ctx, "Passphrase of the wallet: ")
		if err != nil {
			return nil, err
		}
		w, err := c.walletFile().Open(pass)
		if !errors.Is(err, wallet.ErrPassphrase) {
			return w, err
		}
		if c.passphraseFile != "" || attempt == askAgain {
			return nil, withHint(err, "if it is lost, move the file away and import the wallet from its seed phrase: 'hippius login --import -'")
		}
		_, _ = fmt.Fprintln(c.env.Err, "The passphrase is wrong. Try again.")
	}
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

// writeFile writes a file of the home folder, mode 0600.
func (c *command) writeFile(name string, data []byte) error {
	if err := c.ensureHome(); err != nil {
		return err
	}
	if err := privatefile.Replace(c.path(name), data); err != nil {
		return fmt.Errorf("write %s: %w", c.path(name), err)
	}
	return nil
}

// writeDevice keeps this device's identity; the old one or the new survives a crash.
func (c *command) writeDevice(d tenant.Device) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", deviceFile, err)
	}
	return c.writeFile(deviceFile, append(data, '\n'))
}

// readDevice reads what writeDevice wrote; fs.ErrNotExist if there is none.
func (c *command) readDevice() (d tenant.Device, err error) {
	data, err := privatefile.Read(c.path(deviceFile))
	if err != nil {
		return d, fmt.Errorf("read %s: %w", c.path(deviceFile), err)
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return d, withHint(fmt.Errorf("%s is damaged: %w", c.path(deviceFile), err), "remove the file; it is created again when needed")
	}
	return d, nil
}
