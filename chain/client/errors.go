package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Kinds of failure of a query or broadcast, for errors.Is.
var (
	// ErrNotFound: the chain knows no such thing.
	ErrNotFound = errors.New("not on chain")
	// ErrUnavailable: no endpoint answers.
	ErrUnavailable = errors.New("no chain node answers")
	// ErrRefused: the question itself is wrong; the sentence says how.
	ErrRefused = errors.New("refused")
	// ErrInDoubt: a transaction was taken but not seen in a block in time; it may still be. Error.TxHash or
	// InDoubtError names it.
	ErrInDoubt = errors.New("not seen in a block yet")
)

// Error is what the chain said of a transaction it did not carry out. To errors.Is it is its Refusal.
type Error struct {
	// Codespace is the module that refused, e.g. "compute"; Code is its registered, never reused number.
	Codespace string
	Code      uint32
	// Sentence says what is wrong and what is accepted.
	Sentence string
	// TxHash is set if the refused transaction is in a block.
	TxHash string
}

// Error gives the sentence.
func (e *Error) Error() string { return e.Sentence }

// Is tells whether it is a Refusal.
func (e *Error) Is(target error) bool { return target == e.Refusal() }

// Refusal is the reason by module and code.
func (e *Error) Refusal() Refusal { return refusalOf(e.Codespace, e.Code) }

// InDoubtError names a transaction of which it is not known whether it will be in a block.
type InDoubtError struct {
	TxHash string
	// Cause is why waiting ended.
	Cause error
}

func (e *InDoubtError) Error() string {
	return fmt.Sprintf("transaction %s is sent but %v: %v", e.TxHash, ErrInDoubt, e.Cause)
}

// Is makes it an ErrInDoubt.
func (e *InDoubtError) Is(target error) bool { return target == ErrInDoubt }

// Unwrap gives the cause.
func (e *InDoubtError) Unwrap() error { return e.Cause }

// refusal makes the Error of a transaction's result.
func refusal(codespace string, code uint32, log, hash string) *Error {
	return &Error{Codespace: codespace, Code: code, Sentence: sentence(log, codespace, code), TxHash: hash}
}

// sentence strips what the framework puts around the module's own words: which
// message it was, and the registered name of the error, which the code stands for.
func sentence(log, codespace string, code uint32) string {
	if rest, ok := strings.CutPrefix(log, "failed to execute message; message index: "); ok {
		if _, rest, ok := strings.Cut(rest, ": "); ok {
			log = rest
		}
	}
	if end := strings.LastIndex(log, ": "); end > 0 && ours(codespace) {
		log = log[:end]
	}
	if log == "" {
		return fmt.Sprintf("the chain refused it: %s error %d", codespace, code)
	}
	return log
}

// ours are the modules whose every refusal is a sentence followed by the error's name.
func ours(codespace string) bool {
	return slices.Contains([]string{"compute", "credits", "marketplace", "mesh", "ranking", "registry"}, codespace)
}

// queryError gives a failed call its kind and keeps the node's sentence.
func queryError(what string, err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	kind := map[codes.Code]error{
		codes.NotFound:           ErrNotFound,
		codes.Unavailable:        ErrUnavailable,
		codes.DeadlineExceeded:   ErrUnavailable,
		codes.Canceled:           context.Canceled,
		codes.InvalidArgument:    ErrRefused,
		codes.FailedPrecondition: ErrRefused,
		codes.OutOfRange:         ErrRefused,
	}[s.Code()]
	if kind == nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return &queryFailure{what: what, kind: kind, cause: err, message: s.Message()}
}

type queryFailure struct {
	what    string
	kind    error
	cause   error
	message string
}

func (e *queryFailure) Error() string { return fmt.Sprintf("%s: %v: %s", e.what, e.kind, e.message) }

func (e *queryFailure) Unwrap() []error { return []error{e.kind, e.cause} }
