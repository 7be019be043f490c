// Wasmsize links what a tenant's web page needs: tools/size.sh builds it for browsers and bounds what it has to load.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/internal/wallet"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run shows the VMs of a seed phrase on a network, and stops the one named. A page would do the same.
func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("give a network profile, a seed phrase and the id of a VM")
	}
	network, err := client.ParseNetwork([]byte(args[0]))
	if err != nil {
		return err
	}
	w, err := wallet.FromPhrase(args[1])
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Network: network, Dial: noSocket})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // the program ends
	vms, err := c.VMs(ctx, w.Address(), false)
	if err != nil {
		return err
	}
	fmt.Println(vms)
	return c.NewSender(w).StopVM(ctx, args[2])
}

// noSocket is where a page has its WebSocket.
func noSocket(context.Context, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
