package wallet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/hippius/compute/internal/privatefile"
)

const (
	// DefaultWorkFactor is log2 of scrypt's N: about a second and 256 MiB.
	DefaultWorkFactor = 18
	// MaxWorkFactor is the most a file may ask of us.
	MaxWorkFactor = 22
	// MinPassphrase is the least length of a new passphrase, in bytes.
	MinPassphrase = 8
	maxPassphrase = 1 << 10
	fileVersion   = 1
)

// ErrPassphrase is returned by File.Open for a wrong passphrase.
var ErrPassphrase = errors.New("the passphrase is wrong")

// File is where an account's wallet is kept, encrypted with a passphrase (age, scrypt).
type File struct {
	Path string
	// WorkFactor is log2 of scrypt's N for a file to be written; 0 for DefaultWorkFactor.
	WorkFactor int
}

// fileForm is the file's JSON. Address and key stand outside so that looking at an account needs no passphrase.
type fileForm struct {
	Version   int    `json:"version"`
	Address   string `json:"address"`
	PublicKey string `json:"public_key"`
	// Secret is an armored age file of the seed phrase, or of the key in hex.
	Secret string `json:"secret"`
}

// Create writes w to a file that does not exist yet, else it fails with fs.ErrExist. It returns when the file would
// survive a power cut.
func (f File) Create(w *Wallet, passphrase string) error {
	return f.write(w, passphrase, privatefile.Create)
}

// Replace is Create that puts the new file in the place of an old one, atomically.
func (f File) Replace(w *Wallet, passphrase string) error {
	return f.write(w, passphrase, privatefile.Replace)
}

// Address of the wallet in the file, without opening it. Nothing vouches for it before Open has.
func (f File) Address() (string, error) {
	form, err := f.read()
	if err != nil {
		return "", fmt.Errorf("wallet file %s: %w", f.Path, err)
	}
	return form.Address, nil
}

// Open decrypts the file. It fails with fs.ErrNotExist when there is none and ErrPassphrase when the passphrase is
// wrong. It takes about a second.
func (f File) Open(passphrase string) (*Wallet, error) {
	w, err := f.open(passphrase)
	if err != nil {
		return nil, fmt.Errorf("wallet file %s: %w", f.Path, err)
	}
	return w, nil
}

func (f File) open(passphrase string) (*Wallet, error) {
	form, err := f.read()
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, ErrPassphrase // an empty one
	}
	id.SetMaxWorkFactor(MaxWorkFactor)
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(form.Secret)), id)
	if err != nil {
		if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
			return nil, ErrPassphrase
		}
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	secret, err := io.ReadAll(io.LimitReader(r, privatefile.Max))
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	w, err := parseSecret(string(secret))
	if err != nil {
		return nil, err
	}
	if w.Address() != form.Address {
		return nil, fmt.Errorf("it says it is of account %.90s and holds the key of %s", form.Address, w.Address())
	}
	return w, nil
}

func (f File) read() (fileForm, error) {
	var form fileForm
	data, err := privatefile.Read(f.Path)
	if err != nil {
		return form, err
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return form, fmt.Errorf("not a wallet file: %w", err)
	}
	if form.Version != fileVersion {
		return form, fmt.Errorf("its version is %d; this program knows %d", form.Version, fileVersion)
	}
	if _, err := ParseAddress(form.Address); err != nil {
		return form, err
	}
	return form, nil
}

func (f File) write(w *Wallet, passphrase string, put func(path string, data []byte) error) error {
	if n := len(passphrase); n < MinPassphrase || n > maxPassphrase {
		return fmt.Errorf("the passphrase has %d bytes; it needs %d to %d", n, MinPassphrase, maxPassphrase)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("encrypt wallet: %w", err)
	}
	factor := f.WorkFactor
	if factor == 0 {
		factor = DefaultWorkFactor
	}
	if factor < 1 || factor > MaxWorkFactor {
		return fmt.Errorf("encrypt wallet: work factor %d is not within 1 to %d", factor, MaxWorkFactor)
	}
	recipient.SetWorkFactor(factor)
	var text bytes.Buffer
	armored := armor.NewWriter(&text)
	sealed, err := age.Encrypt(armored, recipient)
	if err != nil {
		return fmt.Errorf("encrypt wallet: %w", err)
	}
	_, err = io.WriteString(sealed, w.secret())
	if err = errors.Join(err, sealed.Close(), armored.Close()); err != nil {
		return fmt.Errorf("encrypt wallet: %w", err)
	}
	data, err := json.MarshalIndent(fileForm{
		Version: fileVersion, Address: w.addr, PublicKey: hex.EncodeToString(w.pub), Secret: text.String(),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode wallet: %w", err)
	}
	if err := put(f.Path, append(data, '\n')); err != nil {
		return fmt.Errorf("write wallet file %s: %w", f.Path, err)
	}
	return nil
}

// LoadPlain reads a daemon's wallet, which no human unlocks: a file of the seed phrase or of the key in hex. A file
// that others can read is refused.
func LoadPlain(path string) (*Wallet, error) {
	data, err := privatefile.Read(path)
	if err == nil {
		var w *Wallet
		if w, err = parseSecret(string(data)); err == nil {
			return w, nil
		}
	}
	return nil, fmt.Errorf("account key %s: %w", path, err)
}

// CreatePlain writes what LoadPlain reads, for its owner alone; it fails with fs.ErrExist if the file exists.
func CreatePlain(path string, w *Wallet) error {
	if err := privatefile.Create(path, []byte(w.secret()+"\n")); err != nil {
		return fmt.Errorf("write account key %s: %w", path, err)
	}
	return nil
}

// ReadPassphrase reads a passphrase from a file only its owner can read: its first line.
func ReadPassphrase(path string) (string, error) {
	data, err := privatefile.Read(path)
	if err != nil {
		return "", fmt.Errorf("passphrase file %s: %w", path, err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", fmt.Errorf("passphrase file %s: its first line is empty", path)
	}
	return line, nil
}

// secret is the text a wallet is kept as.
func (w *Wallet) secret() string {
	if w.phrase != "" {
		return w.phrase
	}
	return hex.EncodeToString(w.key.Serialize())
}

func parseSecret(text string) (*Wallet, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil {
		return FromKey(key)
	}
	return FromPhrase(text)
}
