package devnet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/hippius/compute/internal/wallet"
)

// What the first accounts of a development network own.
const (
	stakeUhip   = 1_000_000_000
	operatorHas = 1_000_000_000_000
	faucetHas   = 1_000_000_000_000_000
	// operatorCredits pay the fees of operators' transactions.
	operatorCredits = 1_000 * ucreditPerCredit
)

// person is an account with its key file.
type person struct {
	wallet *wallet.Wallet
	file   string
}

func (p person) address() string { return p.wallet.Address() }

// personIn opens the key file of a name in dir, or makes it.
func personIn(dir, name string) (person, error) {
	p := person{file: filepath.Join(dir, name+".wallet")}
	w, err := wallet.LoadPlain(p.file)
	if err == nil {
		p.wallet = w
		return p, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return person{}, fmt.Errorf("wallet of %s: %w", name, err)
	}
	phrase, err := wallet.NewPhrase(rand.Reader)
	if err != nil {
		return person{}, err
	}
	if p.wallet, err = wallet.FromPhrase(phrase); err != nil {
		return person{}, err
	}
	if err := wallet.CreatePlain(p.file, p.wallet); err != nil {
		return person{}, fmt.Errorf("wallet of %s: %w", name, err)
	}
	return p, nil
}
