package device

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// proxyLinger is how long a proxy whose input has ended waits for the host to
// end the stream, too.
const proxyLinger = 5 * time.Second

// Proxy is what ssh wants of a ProxyCommand: it carries in to conn and conn to
// out, and returns when the host has closed the stream, when in has ended (ssh
// is gone) and the host has not followed within seconds, when out takes no
// more, or when ctx ends. It closes conn. A pending read of in is left behind,
// so the process should end then.
func Proxy(ctx context.Context, conn net.Conn, in io.Reader, out io.Writer) error {
	defer func() { _ = conn.Close() }()
	received := make(chan error, 1)
	go func() {
		_, err := io.Copy(out, conn)
		received <- err
	}()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, in)
		if half, ok := conn.(closeWriter); ok && err == nil {
			err = half.CloseWrite()
		}
		sent <- err
	}()
	var linger <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-received:
			if err != nil {
				return fmt.Errorf("proxy: %w", err)
			}
			return nil
		case <-sent: // an error shows on the other way, too
			sent = nil
			timer := time.NewTimer(proxyLinger)
			defer timer.Stop()
			linger = timer.C
		case <-linger:
			return nil
		}
	}
}
