package devnet

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/onramp"
)

type seller struct {
	uhip uint64
	err  error
}

func (s *seller) Buy(_ context.Context, _ string, uhip uint64, _ string) (uint64, error) {
	s.uhip = uhip
	return 42, s.err
}

func TestFaucetAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		err    error
		status int
		uhip   uint64
	}{
		"order":        {body: `{"recipient":"hip1x","ucredit":10000001,"reference":"a"}`, status: http.StatusOK, uhip: 20_000_002},
		"no reference": {body: `{"recipient":"hip1x","ucredit":1}`, status: http.StatusBadRequest},
		"too much":     {body: `{"recipient":"hip1x","ucredit":99999999999999999,"reference":"a"}`, status: http.StatusBadRequest},
		"unknown word": {body: `{"recipient":"hip1x","ucredit":1,"reference":"a","free":true}`, status: http.StatusBadRequest},
		"too long":     {body: `{"recipient":"` + strings.Repeat("x", onramp.MaxBody) + `"}`, status: http.StatusBadRequest},
		"refused": {
			body: `{"recipient":"hip1x","ucredit":1,"reference":"a"}`, err: &client.Error{Codespace: "credits", Code: 3, Sentence: "too few credits"},
			status: http.StatusConflict, uhip: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &seller{err: c.err}
			f := &faucet{buyer: s, price: 2_000_000, log: slog.New(slog.DiscardHandler)}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, onramp.Path, strings.NewReader(c.body))
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			if w.Code != c.status || s.uhip != c.uhip {
				t.Fatalf("status %d, paid %d; want %d and %d: %s", w.Code, s.uhip, c.status, c.uhip, w.Body)
			}
			var a onramp.Answer
			if err := onramp.Decode(w.Body, &a); err != nil {
				t.Fatal(err)
			}
			if (a.Error == "") != (c.status == http.StatusOK) {
				t.Fatalf("answer %+v does not fit status %d", a, c.status)
			}
		})
	}
}
