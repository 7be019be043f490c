package computetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/credit"
)

const (
	daySeconds = 24 * 3600
	rent       = credit.PerCredit / 4 // a day, by default
	grace      = 30 * daySeconds
)

func light(name string, days uint32) *meshtypes.MsgRegisterLighthouse {
	return &meshtypes.MsgRegisterLighthouse{
		Operator: apptest.Named(name).Address, Name: name, Endpoints: []string{"127.0.0.1:4242"}, Relay: true, Days: days,
	}
}

// lit registers a lighthouse or adds to its rent.
func (w *world) lit(name string, days uint32) meshtypes.MsgRegisterLighthouseResponse {
	w.t.Helper()
	var r meshtypes.MsgRegisterLighthouseResponse
	if err := w.MustDeliver(apptest.Named(name), light(name, days)).Response(0, &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// listed are the names of the lighthouses in the set.
func (w *world) listed() []string {
	w.t.Helper()
	r, err := w.mesh.Lighthouses(w.Ctx(), &meshtypes.QueryLighthousesRequest{})
	if err != nil || r.Height != w.Height() {
		w.t.Fatalf("%+v, %v", r, err)
	}
	var names []string
	for _, l := range r.Lighthouses {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return names
}

func (w *world) credits(name string) uint64 {
	w.t.Helper()
	b, err := w.App.Keepers.Credits.Balance(w.Ctx(), apptest.Named(name).Address)
	if err != nil {
		w.t.Fatal(err)
	}
	return b.Ucredit
}

func TestLighthouses(t *testing.T) {
	w := newWorld(t, nil)
	for i, name := range []string{"miner0", "miner1", "miner2"} {
		if got, want := w.lit(name, 1).Address, fmt.Sprintf("100.127.0.%d", i+1); got != want {
			t.Fatalf("%s has %s", name, got)
		}
	}
	w.refused(markettypes.ErrInsufficient, apptest.Named("poor"), light("poor", 1))
	bad := light("miner3", 1)
	bad.Endpoints = []string{"here"}
	w.refused(meshtypes.ErrInvalid, apptest.Named("miner3"), bad)
	update := light("miner1", 0)
	update.CaCertificate = []byte("certificate")
	w.MustDeliver(apptest.Named("miner1"), update)
	gone := apptest.Named("miner0")
	w.MustDeliver(gone, &meshtypes.MsgRemoveLighthouse{Operator: gone.Address})
	w.refused(meshtypes.ErrNoLighthouse, gone, &meshtypes.MsgRemoveLighthouse{Operator: gone.Address})
	if got := w.lit("miner3", 1).Address; got != "100.127.0.4" {
		t.Fatalf("got %s, though members still look for another lighthouse at its address", got)
	}
	if got := w.listed(); !slices.Equal(got, []string{"miner1", "miner2", "miner3"}) {
		t.Fatal(got)
	}
	w.refused(meshtypes.ErrUnauthorized, gone, &meshtypes.MsgUpdateParams{Authority: gone.Address, Params: meshtypes.DefaultParams()})
}

// A lighthouse pays for its place day by day, and leaves the set when nothing is paid any more.
func TestLighthouseRent(t *testing.T) {
	w := newWorld(t, nil)
	w.refused(meshtypes.ErrRent, apptest.Named("miner0"), light("miner0", 0))
	w.refused(meshtypes.ErrInvalid, apptest.Named("miner0"), light("miner0", 367))
	w.refused(creditstypes.ErrInsufficient, apptest.Named("miner0"), light("miner0", 366)) // 91.5 credits of 20
	before := w.credits("miner0")
	r := w.lit("miner0", 2)
	if r.ExpiresAt != w.Now()+2*daySeconds || before-w.credits("miner0") < 2*rent {
		t.Fatalf("%+v for %d ucredit", r, before-w.credits("miner0"))
	}
	w.lit("miner1", 3)
	// More days are added to those that are paid; what else is changed costs no rent.
	if again := w.lit("miner0", 1); again.ExpiresAt != r.ExpiresAt+daySeconds {
		t.Fatalf("%+v", again)
	}
	if again := w.lit("miner0", 0); again.ExpiresAt != r.ExpiresAt+daySeconds {
		t.Fatalf("%+v", again)
	}
	w.refused(meshtypes.ErrRent, apptest.Named("miner0"), light("miner0", 364))
	w.NextBlock(3*daySeconds - 1)
	if got := w.listed(); len(got) != 2 {
		t.Fatal(got)
	}
	w.NextBlock(1)
	if got := w.listed(); len(got) != 0 {
		t.Fatal(got)
	}
	if e := w.Events(meshtypes.EventLighthouseExpired); len(e) != 2 {
		t.Errorf("%v", e)
	}
	w.refused(meshtypes.ErrRent, apptest.Named("miner0"), light("miner0", 0))

	// Within the grace the operator is given the same address again, and no one else is.
	if got := w.lit("miner2", 1).Address; got != "100.127.0.3" {
		t.Fatal(got)
	}
	if got := w.lit("miner1", 1).Address; got != "100.127.0.2" {
		t.Fatal(got)
	}
	w.NextBlock(grace)
	if got := w.lit("miner3", 1).Address; got != "100.127.0.1" {
		t.Fatalf("got %s", got)
	}
}

// More lighthouses whose rent ends at once than a block takes out of the state leave the set at once all the same.
func TestManyRentsEndAtOnce(t *testing.T) {
	const many = 120
	w := newWorld(t, nil, func(g *app.Genesis) {
		var state meshtypes.GenesisState
		for i := range many {
			state.Lighthouses = append(state.Lighthouses, meshtypes.Lighthouse{
				Operator: apptest.Named(fmt.Sprint("light", i)).Address, Name: "light", Endpoints: []string{"127.0.0.1:4242"},
				Address: fmt.Sprintf("100.127.0.%d", i+1), ExpiresAt: apptest.Start + 100,
			})
		}
		list, err := json.Marshal(state.Lighthouses)
		if err != nil {
			t.Fatal(err)
		}
		g.Overrides["mesh"] = json.RawMessage(fmt.Sprintf(`{"lighthouses":%s}`, list))
	})
	if got := len(w.listed()); got != many {
		t.Fatalf("%d listed", got)
	}
	w.NextBlock(100)
	if got := w.listed(); len(got) != 0 {
		t.Fatalf("%d are listed still", len(got))
	}
	expired := len(w.Events(meshtypes.EventLighthouseExpired))
	for range 2 {
		w.NextBlock(1)
		n := len(w.Events(meshtypes.EventLighthouseExpired))
		if expired += n; n > 50 {
			t.Errorf("%d in one block", n)
		}
	}
	if expired != many {
		t.Errorf("%d expired", expired)
	}
}

// A lighthouse of a genesis from before there was a rent has 30 days.
func TestLighthouseWithoutRent(t *testing.T) {
	w := newWorld(t, map[string]string{"mesh": fmt.Sprintf(
		`{"lighthouses":[{"operator":%q,"name":"old","address":"100.127.0.7","endpoints":["127.0.0.1:4242"]}]}`, apptest.Named("miner0").Address)})
	w.NextBlock(30*daySeconds - 1)
	if got := w.listed(); !slices.Equal(got, []string{"old"}) {
		t.Fatal(got)
	}
	w.NextBlock(1)
	if got := w.listed(); len(got) != 0 {
		t.Fatal(got)
	}
	if got := w.lit("miner1", 1).Address; got != "100.127.0.1" {
		t.Fatal(got)
	}
}
