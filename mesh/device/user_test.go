package device_test

import (
	"os/exec"
	"syscall"
	"testing"
)

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
