package forget

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/core/vm"
)

const id = vm.ID("00112233445566778899aabbccddeeff")

func TestOrders(t *testing.T) {
	o := New(filepath.Join(t.TempDir(), "forget"))
	given := func(want ...vm.ID) {
		t.Helper()
		if got, err := o.All(); err != nil || !slices.Equal(got, want) {
			t.Fatalf("the orders are %v, %v; want %v", got, err, want)
		}
		if o.Given(id) != slices.Contains(want, id) {
			t.Fatalf("%s is given: %t", id, o.Given(id))
		}
	}
	answered := func(want bool, refused error) {
		t.Helper()
		if got, err := o.Answer(id); got != want || !errors.Is(err, refused) || (err == nil) != (refused == nil) {
			t.Fatalf("answered: %t, %v; want %t, %v", got, err, want, refused)
		}
	}
	given()
	if err := errors.Join(o.Give(id), o.Give(id)); err != nil {
		t.Fatal(err)
	}
	given(id)
	answered(false, nil)
	if err := errors.Join(o.Done(id), o.Done(id)); err != nil {
		t.Fatal(err)
	}
	given()
	answered(true, nil)

	if err := errors.Join(o.Give(id), o.Refuse(id, "the chain says that this miner holds it")); err != nil {
		t.Fatal(err)
	}
	given()
	answered(true, ErrRefused)
	answered(true, nil) // the reason is read once

	// An order that is given again is not answered with what was said of the one before.
	if err := errors.Join(o.Give(id), o.Refuse(id, "before"), o.Give(id), o.Done(id)); err != nil {
		t.Fatal(err)
	}
	answered(true, nil)
}

// TestStrayFiles: the folder may hold what is no order, and no order leads out of it.
func TestStrayFiles(t *testing.T) {
	o := New(t.TempDir())
	for _, name := range []string{"x", strings.Repeat("a", 200), string(id) + ".tmp"} {
		if err := os.WriteFile(filepath.Join(o.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := o.All(); err != nil || len(all) != 0 {
		t.Errorf("the orders are %v, %v", all, err)
	}
	if err := o.Give("../out"); err == nil {
		t.Error("an order is written outside its folder")
	}
}
