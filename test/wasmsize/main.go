// Wasmsize links what a tenant's web page needs: tools/size.sh builds it for browsers and bounds what it has to load.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/tenant"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run orders a VM for a seed phrase on a network. A page would do the same.
func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("give a network profile, a seed phrase and the VM's spec in JSON")
	}
	network, err := client.ParseNetwork([]byte(args[0]))
	if err != nil {
		return err
	}
	w, err := wallet.FromPhrase(args[1])
	if err != nil {
		return err
	}
	var spec vm.Spec
	if err := json.Unmarshal([]byte(args[2]), &spec); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	c, err := client.New(client.Config{Network: network, Dial: noSocket})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // the program ends
	keepers, err := connect.NewKeepers()
	if err != nil {
		return err
	}
	order, err := tenant.New(connect.Config(c, c.NewSender(w), w, keepers, time.Now)).NewOrder(spec, nil)
	if err != nil {
		return err
	}
	if _, err := order.Prepare(ctx); err != nil {
		return err
	}
	return order.Place(ctx)
}

// noSocket is where a page has its WebSocket.
func noSocket(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
