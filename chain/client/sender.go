package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	authv1beta1 "github.com/hippius/compute/api/cosmos/auth/v1beta1"
)

// Signer is the account that sends: a wallet.
type Signer interface {
	Address() string
	// PublicKey is the compressed secp256k1 key, 33 bytes.
	PublicKey() []byte
	// Sign gives r‖s, 64 bytes, over a SHA-256 digest.
	Sign(digest []byte) ([]byte, error)
}

// ErrNoAccount says that the chain does not know the sending account yet.
var ErrNoAccount = errors.New("the account does not exist yet; its first credits or coins create it")

const (
	// sendAttempts bounds how often a transaction is signed anew because another took its sequence number.
	sendAttempts = 8
	// maxAhead is how many transactions of other senders of the account may be on their way to a block.
	maxAhead = 4
)

// Sender sends transactions of one account, one after the other. It keeps the sequence number between them, so that
// several may wait for their block at once. It is safe for concurrent use. Two senders of one account get on, more
// slowly.
type Sender struct {
	c      *Client
	signer Signer
	// turn is held, as a token, while one transaction is signed and handed over.
	turn chan struct{}

	mu    sync.Mutex
	acc   account
	known bool
}

// NewSender sends as signer.
func (c *Client) NewSender(signer Signer) *Sender {
	return &Sender{c: c, signer: signer, turn: make(chan struct{}, 1)}
}

// Address of the sending account.
func (s *Sender) Address() string { return s.signer.Address() }

// Send signs msgs as one transaction, hands it over and waits for its block. It fails with an *Error if the chain
// refuses, ErrNoAccount, ErrUnavailable, or ErrInDoubt if it cannot say.
func (s *Sender) Send(ctx context.Context, msgs ...proto.Message) (*Result, error) {
	hash, err := s.Broadcast(ctx, msgs...)
	if err != nil {
		return nil, err
	}
	res, err := s.c.WaitTx(ctx, hash)
	if errors.Is(err, ErrInDoubt) {
		s.forget() // it may have been dropped, and its number with it
	}
	return res, err
}

// Broadcast signs and hands over without waiting for the block; WaitTx waits. A nil error means that a node has it
// in its mempool.
func (s *Sender) Broadcast(ctx context.Context, msgs ...proto.Message) (hash string, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("send transaction: %w", context.Cause(ctx))
	}
	if err := s.c.sameGenesis(ctx); err != nil {
		return "", err
	}
	for attempt := range sendAttempts {
		acc, err := s.account(ctx)
		if err != nil {
			return "", err
		}
		h, err := s.handOver(ctx, acc, msgs)
		// The chain tells the number after the last block. What another sender handed over since comes before.
		for ahead := 0; attempt > 0 && ahead < maxAhead && errors.Is(err, wrongSeq); ahead++ {
			acc = s.step(acc)
			h, err = s.handOver(ctx, acc, msgs)
		}
		switch {
		case err == nil:
			s.used(acc)
			return h, nil
		case errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled):
			// The node may have taken it before the connection broke.
			s.forget()
			return "", &InDoubtError{TxHash: h, Cause: err}
		case !retryable(err) || attempt == sendAttempts-1:
			return "", err
		}
		// Somebody else uses the account, or an earlier transaction is not in a block yet: see where it stands.
		s.forget()
		if err := sleep(ctx, s.c.set.Poll<<min(attempt, 3)); err != nil {
			return "", err
		}
	}
	return "", errors.New("send transaction: no attempt was made")
}

// handOver signs msgs as the account's next transaction and gives it to a node.
func (s *Sender) handOver(ctx context.Context, acc account, msgs []proto.Message) (hash string, err error) {
	raw, hash, err := encodeTx(s.signer, s.c.ChainID(), acc, cmp.Or(s.c.set.Gas, gasFor(msgs)), msgs)
	if err != nil {
		return "", err
	}
	return hash, s.c.broadcast(ctx, raw)
}

// retryable says that the same messages signed anew may be taken.
func retryable(err error) bool {
	return errors.Is(err, wrongSeq) || errors.Is(err, mempoolFull)
}

func (s *Sender) account(ctx context.Context) (account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s.acc, nil
	}
	resp, err := s.c.auth.AccountInfo(ctx, &authv1beta1.QueryAccountInfoRequest{Address: s.signer.Address()})
	if err != nil {
		err = queryError("account "+s.signer.Address(), err)
		if errors.Is(err, ErrNotFound) {
			return account{}, fmt.Errorf("account %s: %w", s.signer.Address(), ErrNoAccount)
		}
		return account{}, err
	}
	s.acc = account{number: resp.GetInfo().GetAccountNumber(), sequence: resp.GetInfo().GetSequence()}
	s.known = true
	return s.acc, nil
}

func (s *Sender) used(acc account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known && s.acc == acc {
		s.acc.sequence++
	}
}

// step goes one number on, for this sender and whoever asks it next.
func (s *Sender) step(acc account) account {
	s.used(acc)
	acc.sequence++
	return acc
}

func (s *Sender) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// send is Send of one message with its answer typed.
func send[R proto.Message](ctx context.Context, s *Sender, msg proto.Message) (R, error) {
	var none R
	res, err := s.Send(ctx, msg)
	if err != nil {
		return none, err
	}
	if len(res.Responses) == 1 {
		if r, ok := res.Responses[0].(R); ok {
			return r, nil
		}
	}
	return none, fmt.Errorf("transaction %s: the chain's answer is not a %s", res.Hash, none.ProtoReflect().Descriptor().Name())
}
