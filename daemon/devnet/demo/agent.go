package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const agentWithin = 10 * time.Second

// startAgent runs OpenSSH's agent with one key, on a socket in dir, until stop.
func startAgent(ctx context.Context, keyFile, dir string) (stop func(), socket string, err error) {
	socket = filepath.Join(dir, "agent.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", fmt.Errorf("agent's socket: %w", err)
	}
	agent := exec.CommandContext(ctx, "ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		return nil, "", fmt.Errorf("start ssh-agent: %w", err)
	}
	stop = func() {
		_ = agent.Process.Kill() // it may have ended by itself
		_ = agent.Wait()         // killed
		_ = os.Remove(socket)    // the folder goes too
	}
	if err := addKey(ctx, keyFile, socket); err != nil {
		stop()
		return nil, "", err
	}
	return stop, socket, nil
}

// addKey waits for the agent and gives it the key.
func addKey(ctx context.Context, keyFile, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, agentWithin)
	defer cancel()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socket)
		if err == nil {
			_ = conn.Close() // nothing was asked
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ssh-agent: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	add := exec.CommandContext(ctx, "ssh-add", "-q", keyFile)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("give the key to ssh-agent: %w: %s", err, out)
	}
	return nil
}
