package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hippius/compute/daemon/devnet/demo"
)

// strangersLogin tries to log in to web-1 as nobody should: the VM offers
// keys and nothing else, knows only its tenant's, and has no door for root.
func strangersLogin(ctx context.Context, owner *demo.Tenant) error {
	other, err := demo.NewTenant(owner.Program, filepath.Join(owner.Dir, "stranger"), &bytes.Buffer{})
	if err != nil {
		return err
	}
	defer other.Close()
	// Somebody with the tenant's whole device in hand, and a terminal that answers every question.
	answers := filepath.Join(owner.Dir, "answers")
	if err := os.WriteFile(answers, []byte("#!/bin/sh\necho hippius\n"), 0o700); err != nil { //nolint:gosec // ssh runs it
		return err
	}
	const refused = "Permission denied (publickey)." // the whole list of what the VM would take
	for how, args := range map[string][]string{
		"a key it does not know": {"-i", other.Key(), "--option", "IdentitiesOnly=yes", "web-1", "id"},
		"a password": {
			"--option", "PubkeyAuthentication=no", "--option", "PreferredAuthentications=password,keyboard-interactive",
			"--option", "NumberOfPasswordPrompts=3", "web-1", "id",
		},
		"no key at all":         {"--option", "PubkeyAuthentication=no", "--option", "PreferredAuthentications=none", "web-1", "id"},
		"root, with a good key": {"-i", owner.Key(), "-l", "root", "web-1", "id"},
		"nobody":                {"-i", owner.Key(), "-l", "nobody", "web-1", "id"},
	} {
		var said bytes.Buffer
		caller := *owner
		caller.Out, caller.Env = &said, []string{"SSH_ASKPASS=" + answers, "SSH_ASKPASS_REQUIRE=force"}
		out, err := caller.Run(ctx, append([]string{"ssh"}, args...)...)
		if err == nil || strings.Contains(out, "uid=") {
			return fmt.Errorf("a login with %s succeeded: %s", how, out)
		}
		if !strings.Contains(said.String(), refused) {
			return fmt.Errorf("a login with %s was answered %q; want %q in it", how, said.String(), refused)
		}
	}
	return nil
}

// rootAttacks has root on web-1 try its miner and the other VM past the
// mesh. What each packet meets is tested frame by frame in miner/network; here
// it is the real tap of a real VM.
func rootAttacks(ctx context.Context, owner *demo.Tenant) error {
	var miners []struct {
		Endpoint string `json:"endpoint"`
	}
	if err := owner.JSON(ctx, &miners, "miner", "ls"); err != nil {
		return err
	}
	neighbour, err := owner.SSH(ctx, "small-1", "ip -4 -o address show eth0 | awk '{print $4}' | cut -d/ -f1")
	if err != nil {
		return err
	}
	var v struct {
		MeshAddress string `json:"mesh_address"`
	}
	if err := owner.JSON(ctx, &v, "vm", "show", "small-1"); err != nil {
		return err
	}
	script := []string{
		"gw=$(ip route show default | awk '{print $3; exit}')",
		"reach() { timeout 60 nc -w 5 $1 $2 </dev/null >/dev/null 2>&1 && echo REACHED $1 $2; }",
		"for port in 22 53 7430 9466 16509 16514; do reach $gw $port & done",
		"(ping -c 1 -W 5 $gw >/dev/null 2>&1 && echo REACHED $gw) &",
		"reach " + strings.TrimSpace(neighbour) + " 22 &",
		"reach 169.254.169.254 80 &",
	}
	for _, m := range miners {
		host, port, ok := strings.Cut(m.Endpoint, ":")
		if !ok {
			return fmt.Errorf("a miner at %q", m.Endpoint)
		}
		script = append(script, "reach "+host+" "+port+" &", "reach "+host+" 22 &")
	}
	// Over the mesh it is let in: what cannot be reached is not for want of a tool.
	script = append(script, "reach "+v.MeshAddress+" 22 &", "wait", "echo DONE")
	text := strings.Join(script, "\n") + "\n"
	// So that no shell on the way reads it.
	out, err := owner.SSH(ctx, "web-1", "echo "+base64.StdEncoding.EncodeToString([]byte(text))+" | base64 -d | sudo sh")
	if err != nil {
		return err
	}
	if want := "REACHED " + v.MeshAddress + " 22\nDONE\n"; out != want {
		return fmt.Errorf("root on web-1 tried its miner and its neighbour and says %q; want %q", out, want)
	}
	return nil
}
