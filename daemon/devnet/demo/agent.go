package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// serveAgent is an ssh-agent with one key, on a socket in dir, until stop.
func serveAgent(ctx context.Context, keyFile, dir string) (stop func(), socket string, err error) {
	data, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, "", fmt.Errorf("agent's key: %w", err)
	}
	key, err := ssh.ParseRawPrivateKey(data)
	if err != nil {
		return nil, "", fmt.Errorf("agent's key: %w", err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return nil, "", fmt.Errorf("agent's key: %w", err)
	}
	socket = filepath.Join(dir, "agent.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("agent's socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, "", fmt.Errorf("agent's socket: %w", err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()               //nolint:errcheck // its stream has ended
				_ = agent.ServeAgent(ring, conn) // ends with the connection
			})
		}
	})
	return func() {
		_ = l.Close() // nothing is written through it
		serving.Wait()
	}, socket, nil
}
