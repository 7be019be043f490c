// Command hostile is a member of the mesh, or a lighthouse, without a sender's
// scruples. It is built with `go build -overlay`, see hostile_test.go: the file
// send.go.overlay gives nodes a way past their own checks.
//
// It reads a line of JSON with the node's configuration, and answers with its
// port; then lines of JSON, each a packet to put into the tunnel to a host, and
// answers each with "sent" when it has.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	in.Scan()
	var c nebula.Config
	if err := json.Unmarshal(in.Bytes(), &c); err != nil {
		return err
	}
	if c.Mode == nebula.ModeUserspace {
		c.Stack = netstack.New
	}
	n, err := nebula.Start(context.Background(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Println(n.ListenPort())
	for in.Scan() {
		var p struct {
			To     netip.Addr `json:"to"`
			Packet []byte     `json:"packet"`
		}
		if err := json.Unmarshal(in.Bytes(), &p); err != nil {
			return err
		}
		for !n.SendRaw(p.To, p.Packet) {
			// A member's first packet asks for a tunnel; a lighthouse waits for one.
			if conn, err := n.DialContext(context.Background(), "udp", netip.AddrPortFrom(p.To, 9).String()); err == nil {
				_, _ = conn.Write([]byte("hello"))
				_ = conn.Close()
			}
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println("sent")
	}
	return n.Close()
}
