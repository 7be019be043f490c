package console

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Accounts with a console each are nobody's to end, and a place is not taken for an account with as many.
func TestConsolesOfManyAccountsStay(t *testing.T) {
	var p places
	var sessions []context.Context
	for i := range maxSessions {
		ctx, leave, err := p.enter(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		sessions = append(sessions, ctx)
	}
	for _, owner := range []string{"another", "1"} {
		if _, _, err := p.enter(t.Context(), owner); !errors.Is(err, errAllTaken) {
			t.Errorf("%s: %v, want a refusal", owner, err)
		}
	}
	for i, ctx := range sessions {
		if ctx.Err() != nil {
			t.Errorf("the only console of account %d was ended", i)
		}
	}
}

// deaf is a user who reads nothing.
type deaf struct{ gone context.Context } //nolint:containedctx // a stream has its caller's

func (d deaf) Send(string) error {
	<-d.gone.Done()
	return d.gone.Err()
}
func (d deaf) Context() context.Context { return d.gone }

// Whoever reads nothing loses the place as others do, and when the grant ends.
func TestDeafUserKeepsNoPlace(t *testing.T) {
	var p places
	ctx, leave, err := p.enter(t.Context(), "deaf")
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, deaf{t.Context()}, "output") }()
	p.open[0].end(errMadeRoom)
	select {
	case err := <-sent:
		if !errors.Is(err, errMadeRoom) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it keeps its place")
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := send(short, deaf{t.Context()}, "output"); !errors.Is(err, errGrantEnded) {
		t.Errorf("after the grant: %v", err)
	}
}
