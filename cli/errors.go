package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

// hintError is an error with what to do about it.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds a line that says what to do.
func withHint(err error, format string, args ...any) error {
	return &hintError{err: err, hint: fmt.Sprintf(format, args...)}
}

// usageError is a wrong call: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// statusError carries the exit status of a program run for the tenant, such as ssh.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// interrupted says what an interruption at this place leaves behind.
type interrupted struct {
	err  error
	left string
}

func (e *interrupted) Error() string { return e.err.Error() }
func (e *interrupted) Unwrap() error { return e.err }

// ifInterrupted adds the words to be said if err came with an interruption,
// however deep below its cause was lost.
func ifInterrupted(ctx context.Context, err error, left string) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if _, said := errors.AsType[*interrupted](err); said {
		return err
	}
	return &interrupted{err: errors.Join(ctx.Err(), err), left: left}
}

func exitCode(ctx context.Context, w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	err = explained(err)
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		_, _ = fmt.Fprintln(w, "interrupted"+interruption(err))
		return 130
	}
	_, _ = fmt.Fprintf(w, "error: %s\n", cleanLines(err.Error()))
	if h := hint(err); h != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", cleanLines(h))
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

func interruption(err error) string {
	switch i, ok := errors.AsType[*interrupted](err); {
	case ok:
		return "; " + i.left
	case errors.Is(err, client.ErrInDoubt):
		return " while the transaction was being sent; it may still be executed"
	default:
		return ""
	}
}

// hint says what to do about an error: what came with it, else what fits its kind.
func hint(err error) string {
	if h, ok := errors.AsType[*hintError](err); ok {
		return h.hint
	}
	switch {
	case errors.Is(err, client.ErrInDoubt):
		return "check the state before you repeat the command: the transaction may still be executed"
	case errors.Is(err, client.ErrNoAccount):
		return "buy credits: 'hippius billing buy 20'"
	case errors.Is(err, wallet.ErrNoPhrase):
		return "import the wallet from its seed phrase: the VMs' identities are derived from it"
	case errors.Is(err, client.ErrUnavailable):
		return "check that the network is up and its profile current; 'hippius login --network FILE' chooses another profile"
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return refusalHint(refused.Refusal())
	}
	return ""
}

// refusalHint is what to do about a refusal of the chain; the refusal itself says what is wrong.
func refusalHint(r client.Refusal) string {
	return map[client.Refusal]string{
		client.UnknownPlan:     "see 'hippius plan ls'",
		client.UnknownImage:    "see 'hippius image ls'",
		client.UnknownApp:      "see 'hippius app ls'",
		client.KeyExists:       "see 'hippius key ls'",
		client.UnknownKey:      "see 'hippius key ls'",
		client.KeyInUse:        "see 'hippius vm ls'",
		client.NameTaken:       "see 'hippius vm ls'",
		client.UnknownRegion:   "see 'hippius miner ls'",
		client.ImageTooLarge:   "see 'hippius plan ls'",
		client.UnknownMiner:    "see 'hippius miner ls'",
		client.TooManyVMs:      "see 'hippius vm ls'",
		client.WrongPhase:      "see 'hippius vm ls'",
		client.SameSize:        "see 'hippius plan ls'",
		client.HostFull:        "see 'hippius plan ls'",
		client.NoRoomOnHost:    "see 'hippius miner ls' for what its host has available",
		client.ImageArch:       "see 'hippius image ls'",
		client.NoCredits:       "buy credits: 'hippius billing buy 20'",
		client.NoCreditAccount: "buy credits: 'hippius billing buy 20'",
		client.NotEnoughUhip:   "buy from the on-ramp instead: without --with-uhip",
	}[r]
}

// explained adds to an order's error the exit status and a hint.
func explained(err error) error {
	if u, ok := errors.AsType[*tenant.UnknownError](err); ok {
		see := "hippius " + u.What + " ls"
		if u.What == "region" {
			see = "hippius miner ls"
		}
		if u.Name == "" {
			return withHint(usagef("no %s was given: use --%s; %s", u.What, u.What, u.Choice()), "see '%s'", see)
		}
		return withHint(err, "see '%s'", see)
	}
	if f, ok := errors.AsType[*tenant.Fault](err); ok {
		return explainedFault(f, err)
	}
	return err
}

func explainedFault(f *tenant.Fault, err error) error {
	switch f.Kind {
	case tenant.BadName:
		return usageError{err}
	case tenant.NameTaken:
		return withHint(err, "see 'hippius vm ls'")
	case tenant.ImageTooLarge, tenant.SameSize:
		return withHint(err, "see 'hippius plan ls'")
	case tenant.AppImage:
		return withHint(err, "see 'hippius app ls'")
	case tenant.NoMiner:
		return withHint(err, "see 'hippius miner ls'")
	case tenant.ManyMiners:
		return withHint(err, "hippius miner ls -o json")
	case tenant.NoKey:
		return withHint(err, "hippius key add laptop ~/.ssh/id_ed25519.pub")
	case tenant.UnknownKey:
		return withHint(err, "see 'hippius key ls'")
	case tenant.KeysRemoved:
		return withHint(err, "choose keys of the account with --ssh-key KEY, see 'hippius key ls'")
	case tenant.NoAddress:
		return withHint(err, "terminate a VM you no longer need")
	case tenant.WrongPhase:
		return withHint(err, "see 'hippius vm show %s'", f.Name)
	default:
		return err
	}
}
