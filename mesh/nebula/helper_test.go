package nebula_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/mesh/nebula/netstack"
)

// The tests over network namespaces start this very binary again inside each
// namespace. There it runs one node and does, line by line, what the test asks
// on its standard input; it ends when that does, however the test ended.
const helperEnv = "HIPT_MESH_HELPER"

func TestMain(m *testing.M) {
	if who := os.Getenv(helperEnv); who != "" {
		help(who)
		return
	}
	os.Exit(m.Run())
}

type order struct {
	Op     string         `json:"op"` // start reload dial pong peer links close
	Config *nebula.Config `json:"config,omitempty"`
	To     netip.Addr     `json:"to,omitzero"`
	Within time.Duration  `json:"within,omitempty"`
	// Kernel dials through the namespace's own sockets.
	Kernel bool `json:"kernel,omitempty"`
}

type outcome struct {
	Error string       `json:"error,omitempty"`
	Port  uint16       `json:"port,omitempty"`
	Peer  *nebula.Peer `json:"peer,omitempty"`
	Links []string     `json:"links,omitempty"`
	MS    float64      `json:"ms,omitempty"`
}

type helper struct {
	log  *slog.Logger
	node *nebula.Node
	mode nebula.Mode
	held net.Conn
}

func help(who string) {
	w := io.Discard
	if os.Getenv("HIPT_LOG") != "" {
		w = os.Stderr
	}
	h := &helper{log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})).With("program", who)}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 8<<20)
	for in.Scan() {
		var o order
		var out outcome
		err := json.Unmarshal(in.Bytes(), &o)
		if err == nil {
			out, err = h.do(o)
		}
		if err != nil {
			out.Error = err.Error()
		}
		if json.NewEncoder(os.Stdout).Encode(out) != nil {
			return
		}
	}
	if h.node != nil {
		_ = h.node.Close()
	}
}

func (h *helper) do(o order) (out outcome, err error) {
	switch o.Op {
	case "start":
		if h.mode = o.Config.Mode; h.mode == nebula.ModeUserspace {
			o.Config.Stack = netstack.New
		}
		if h.node, err = nebula.Start(context.Background(), *o.Config, h.log); err != nil {
			return out, err
		}
		out.Port = h.node.ListenPort()
		return out, h.echo()
	case "reload":
		return out, h.node.Reload(*o.Config)
	case "dial":
		return h.dial(o)
	case "pong":
		return out, h.pong(o.Within)
	case "peer":
		if p, ok := h.node.Peer(o.To); ok {
			out.Peer = &p
		}
		return out, nil
	case "links":
		links, err := net.Interfaces()
		for _, l := range links {
			out.Links = append(out.Links, l.Name)
		}
		return out, err
	case "close":
		return out, h.node.Close()
	}
	return out, fmt.Errorf("no such order %q", o.Op)
}

// echo serves port 22 on the node's address.
func (h *helper) echo() error {
	var l net.Listener
	var err error
	on := netip.AddrPortFrom(h.node.Addr(), 22).String()
	switch h.mode {
	case nebula.ModeNone:
		return nil
	case nebula.ModeTun:
		l, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", on)
	case nebula.ModeUserspace:
		l, err = h.node.Listen("tcp", on)
	}
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return nil
}

func (h *helper) dial(o order) (out outcome, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.Within)
	defer cancel()
	to := netip.AddrPortFrom(o.To, 22).String()
	began := time.Now()
	if o.Kernel {
		h.held, err = (&net.Dialer{}).DialContext(ctx, "tcp", to)
	} else {
		h.held, err = h.node.DialContext(ctx, "tcp", to)
	}
	if err != nil {
		return out, err
	}
	err = h.pong(o.Within)
	out.MS = float64(time.Since(began).Microseconds()) / 1000
	return out, err
}

func (h *helper) pong(within time.Duration) error {
	if err := h.held.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := h.held.Write([]byte("ping")); err != nil {
		return err
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(h.held, got); err != nil {
		return err
	}
	if string(got) != "ping" {
		return fmt.Errorf("got %q", got)
	}
	return nil
}
