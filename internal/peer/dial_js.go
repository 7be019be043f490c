package peer

import (
	"context"
	"fmt"
	"net"
)

// dialTCP fails: a browser has no TCP, and net's stand-in for it reaches only this program.
func dialTCP(_ context.Context, addr string) (net.Conn, error) {
	return nil, fmt.Errorf("dial tcp %s: not possible in a browser: give a Dialer", addr)
}
