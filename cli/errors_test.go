package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

func TestExitStatusAndWords(t *testing.T) {
	refused := &client.Error{Codespace: "compute", Code: 10, Sentence: `SSH key "laptop" is named by 2 VMs; terminate them first`}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	doubt := &client.InDoubtError{TxHash: "AB", Cause: context.Canceled}
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		code int
		said string
	}{
		"done":         {t.Context(), nil, 0, ""},
		"of a program": {t.Context(), statusError(7), 7, ""},
		"plain":        {t.Context(), errors.New("it is broken"), 1, "error: it is broken\n"},
		"with a hint":  {t.Context(), withHint(errors.New("a"), "do %s", "b"), 1, "error: a\nhint: do b\n"},
		"wrong use":    {t.Context(), usagef("no"), 2, "error: no\n"},
		"wrapped use":  {t.Context(), withHint(usagef("no"), "yes"), 2, "error: no\nhint: yes\n"},
		"the chain's":  {t.Context(), refused, 1, "error: " + refused.Sentence + "\nhint: see 'hippius vm ls'\n"},
		"wrapped":      {t.Context(), fmt.Errorf("publish mesh CA: %w", refused), 1, "error: publish mesh CA: " + refused.Sentence + "\nhint: see 'hippius vm ls'\n"},
		"no account": {
			t.Context(), client.ErrNoAccount, 1,
			"error: the account does not exist yet; its first credits or coins create it\nhint: buy credits: 'hippius billing buy 20'\n",
		},
		"an order's name":     {t.Context(), &tenant.Fault{Kind: tenant.BadName, Sentence: "no name"}, 2, "error: no name\n"},
		"an order's fault":    {t.Context(), &tenant.Fault{Kind: tenant.WrongPhase, Name: "web-1", Sentence: "not now"}, 1, "error: not now\nhint: see 'hippius vm show web-1'\n"},
		"of the wrong choice": {t.Context(), &tenant.UnknownError{What: "region", Name: "x", There: []string{"eu", "us"}}, 1, "error: there is no region \"x\"; there are: eu, us\nhint: see 'hippius miner ls'\n"},
		"without a choice":    {t.Context(), &tenant.UnknownError{What: "plan"}, 2, "error: no plan was given: use --plan; there are none yet\nhint: see 'hippius plan ls'\n"},
		"of a bare key":       {t.Context(), fmt.Errorf("join: %w", wallet.ErrNoPhrase), 1, "error: join: this wallet has no seed phrase, only a key\nhint: import the wallet from its seed phrase: the VMs' identities are derived from it\n"},
		"interrupted":         {ended, fmt.Errorf("x: %w", context.Canceled), 130, "interrupted\n"},
		"interrupted early":   {ended, ifInterrupted(ended, errors.New("too few keepers"), "nothing was ordered"), 130, "interrupted; nothing was ordered\n"},
		"in flight":           {ended, doubt, 130, "interrupted while the transaction was being sent; it may still be executed\n"},
		"said once":           {ended, ifInterrupted(ended, ifInterrupted(ended, context.Canceled, "first"), "second"), 130, "interrupted; first\n"},
		"a stranger's":        {t.Context(), withHint(errors.New("a\x1b[2Jb\u202ec\nd"), "e\x07"), 1, "error: a[2Jbc\nd\nhint: e\n"},
		"not by us":           {t.Context(), context.Canceled, 1, "error: context canceled\n"},
	} {
		var said strings.Builder
		if code := exitCode(c.ctx, &said, c.err); code != c.code || said.String() != c.said {
			t.Errorf("%s: status %d, said %q; want %d, %q", name, code, said.String(), c.code, c.said)
		}
	}
	if ifInterrupted(ended, nil, "x") != nil {
		t.Error("no error became one")
	}
	if err := errors.New("x"); ifInterrupted(t.Context(), err, "y") != err { //nolint:errorlint // the very same
		t.Error("an error without an interruption was changed")
	}
}

// Every fault of an order says what to do about it, or that the call was wrong.
func TestFaultsHaveAHint(t *testing.T) {
	for kind := tenant.BadName; kind <= tenant.SameSize; kind++ {
		err := explained(&tenant.Fault{Kind: kind, Name: "web-1"})
		if _, usage := errors.AsType[usageError](err); !usage && hint(err) == "" {
			t.Errorf("kind %d has no hint", kind)
		}
	}
}
