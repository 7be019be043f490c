// Package bench measures what a tenant waits for and what it costs a host,
// beside the least it could be. docs/figures.md explains each.
package bench

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
)

// Options of a measurement.
type Options struct {
	Tenant *demo.Tenant
	Net    *devnet.Net
	// Image by name on chain, and the same image's file.
	Image, ImageFile string
	Plan             string
	// Runs of each of the two, in turn.
	Runs int
	// Tag of the network, which names of this host's interfaces begin with.
	Tag string
	// Self is the program that runs a mesh node of its own; see MeshNode.
	Self string
	// Out takes the results, Progress the rest.
	Out, Progress io.Writer

	account string
}

// Real measures on a network of real VMs.
func Real(ctx context.Context, o Options) error {
	if o.Runs < 1 || o.Runs > 50 {
		return fmt.Errorf("%d runs: accepted are 1 to 50", o.Runs)
	}
	if err := o.settle(ctx, o.Tenant); err != nil {
		return err
	}
	var err error
	if o.account, err = account(ctx, o.Tenant); err != nil {
		return err
	}
	bare, err := newBare(ctx, o)
	if err != nil {
		return err
	}
	for _, measure := range []func(context.Context, Options, *bareVM) error{compare, sideBySide, meshOverVeth} {
		if err := measure(ctx, o, bare); err != nil {
			return err
		}
	}
	return nil
}

// settle makes a tenant ready to order.
func (o Options) settle(ctx context.Context, t *demo.Tenant) error {
	for _, call := range [][]string{
		{"login", "--network", o.Net.Profile()},
		{"billing", "buy", "100"},
		{"key", "add", "laptop", t.Key() + ".pub"},
	} {
		if _, err := t.Run(ctx, call...); err != nil {
			return err
		}
	}
	return nil
}

func account(ctx context.Context, t *demo.Tenant) (string, error) {
	var who struct {
		Address string `json:"address"`
	}
	err := t.JSON(ctx, &who, "whoami")
	return who.Address, err
}

func (o Options) print(name string, value float64, unit string) {
	digits := 3
	for v := value; v >= 1 && digits > 0; v /= 10 {
		digits--
	}
	_, _ = fmt.Fprintf(o.Out, "%s %.*f %s\n", name, digits, value, unit)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
