package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/onramp"
)

const (
	// faucetMax is the most one order may ask for: a million credits.
	faucetMax     = 1_000_000 * ucreditPerCredit
	faucetTimeout = time.Minute

	ucreditPerCredit = 1_000_000
)

// buyer buys credits for others.
type buyer interface {
	Buy(ctx context.Context, recipient string, uhip uint64, reference string) (ucredit uint64, err error)
}

// faucet is the development network's on-ramp: it pays for every order itself.
type faucet struct {
	buyer buyer
	// price of a credit in uhip.
	price uint64
	log   *slog.Logger
}

// ServeHTTP answers one order.
func (f *faucet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), faucetTimeout)
	defer cancel()
	answer, status := f.answer(ctx, r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		f.log.Debug("answer order", "error", err)
	}
}

func (f *faucet) answer(ctx context.Context, r *http.Request) (onramp.Answer, int) {
	var o onramp.Order
	if err := onramp.Decode(r.Body, &o); err != nil {
		return onramp.Answer{Error: err.Error()}, http.StatusBadRequest
	}
	if err := o.Check(faucetMax); err != nil {
		return onramp.Answer{Error: err.Error()}, http.StatusBadRequest
	}
	uhip, err := f.cost(o.Ucredit)
	if err != nil {
		return onramp.Answer{Error: err.Error()}, http.StatusBadRequest
	}
	ucredit, err := f.buyer.Buy(ctx, o.Recipient, uhip, o.Reference)
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		return onramp.Answer{Error: refused.Sentence}, http.StatusConflict
	case err != nil:
		f.log.Warn("buy credits", "account", o.Recipient, "error", err)
		return onramp.Answer{Error: "the chain does not answer; try again with the same reference"}, http.StatusBadGateway
	}
	f.log.Info("credits bought", "account", o.Recipient, "ucredit", ucredit)
	return onramp.Answer{Ucredit: ucredit}, http.StatusOK
}

// cost of credits in uhip, rounded up.
func (f *faucet) cost(ucredit uint64) (uint64, error) {
	n := new(big.Int).Mul(new(big.Int).SetUint64(ucredit), new(big.Int).SetUint64(f.price))
	n.Add(n, big.NewInt(ucreditPerCredit-1)).Div(n, big.NewInt(ucreditPerCredit))
	if !n.IsUint64() {
		return 0, fmt.Errorf("ucredit %d: too much for one order", ucredit)
	}
	return n.Uint64(), nil
}

// newFaucetServer bounds what a stranger may send.
func newFaucetServer(f *faucet) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("POST "+onramp.Path, f)
	return &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: faucetTimeout + 10*time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return context.Background() },
	}
}
