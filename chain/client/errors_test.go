package client

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a module said reaches the user, without the framework's frame around it.
func TestSentence(t *testing.T) {
	for _, c := range []struct{ log, codespace, want string }{
		{"failed to execute message; message index: 0: SSH key \"a\" is named by 2 VMs; terminate them first: SSH key in use", "compute", "SSH key \"a\" is named by 2 VMs; terminate them first"},
		{"image \"x\" is not offered; there are: a, b: unknown image", "marketplace", "image \"x\" is not offered; there are: a, b"},
		{"name taken", "compute", "name taken"},
		{"account sequence mismatch, expected 1, got 0: incorrect account sequence", "sdk", "account sequence mismatch, expected 1, got 0: incorrect account sequence"},
		{"", "compute", "the chain refused it: compute error 7"},
	} {
		if got := refusal(c.codespace, 7, c.log, ""); got.Sentence != c.want || got.Code != 7 || got.Codespace != c.codespace {
			t.Errorf("%q of %s: got %+v, want %q", c.log, c.codespace, got, c.want)
		}
	}
}

func TestQueryErrorHasAKind(t *testing.T) {
	for code, kind := range map[codes.Code]error{
		codes.NotFound: ErrNotFound, codes.Unavailable: ErrUnavailable, codes.DeadlineExceeded: ErrUnavailable,
		codes.Canceled: context.Canceled, codes.InvalidArgument: ErrRefused,
	} {
		if err := queryError("VM a", status.Error(code, "why")); !errors.Is(err, kind) {
			t.Errorf("%s: %v", code, err)
		}
	}
}
