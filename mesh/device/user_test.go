package device_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Needs a second user, so runs as root only; elsewhere the same check is made
// against the client's own user in every other test.
func TestOtherUsersAreTurnedAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user; runs where the tests run as root")
	}
	p := newProcess(t)
	p.serve(t)
	p.up(t)
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(p.SocketPath)), 0o755)) //nolint:gosec // let the other user try
	require.NoError(t, os.Chmod(filepath.Dir(p.SocketPath), 0o755))               //nolint:gosec // let the other user try
	require.NoError(t, os.Chmod(p.SocketPath, 0o666))                             //nolint:gosec // let the other user try
	got := asUser(t, 12345, p.SocketPath)
	require.Equal(t, "turned away", got)
	require.Equal(t, "answered", asUser(t, 0, p.SocketPath))
}

func TestMain(m *testing.M) {
	if path := os.Getenv("HIPT_DEVICE_KNOCK"); path != "" {
		knock(path)
		return
	}
	os.Exit(m.Run())
}

// knock asks in a process of its own, without the client's own check.
func knock(path string) {
	c, err := (&net.Dialer{}).DialContext(context.Background(), "unix", path)
	if err != nil {
		fmt.Print(err)
		return
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write([]byte(`{"v":1}` + "\n"))
	got, err := io.ReadAll(io.LimitReader(c, 12))
	switch {
	case len(got) > 0:
		fmt.Print("answered")
	case err == nil, errors.Is(err, syscall.ECONNRESET):
		fmt.Print("turned away")
	default:
		fmt.Print(err)
	}
}

func asUser(t *testing.T, uid uint32, path string) string {
	t.Helper()
	// The test binary may lie where another user cannot reach it.
	binary := filepath.Join(filepath.Dir(filepath.Dir(path)), "knock")
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, self, 0o755)) //nolint:gosec // another user runs it
	out, err := commandAs(t, uid, binary, "HIPT_DEVICE_KNOCK="+path)
	require.NoError(t, err)
	return out
}

// commandAs runs the binary as another user and gives what it printed.
func commandAs(t *testing.T, uid uint32, binary, env string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = []string{env}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.Output()
	return string(out), err
}
