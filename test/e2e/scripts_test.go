package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/cli"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
)

// toolName is what scripts call the command line.
const toolName = "hippius"

// beTool in the environment makes this test binary the command line, and so too what that starts of itself.
const beTool = "HIPPIUS_TEST_BE_TOOL"

// TestMain is the command line where the environment says so: scripts so run it as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(beTool) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		env := cli.SystemEnv()
		env.WorkFactor = 1 // a second of scrypt for each command would be the test's whole time
		status := cli.Run(ctx, env, os.Args[1:])
		stop()
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// What tenants type, and what they are told, on a network without miners: VMs wait for one for ever.
func TestScripts(t *testing.T) {
	n := fakeNetwork(t, func(c *devnet.Config) {
		c.Miners = 0
		c.Apps = append(c.Apps, plan.App{Name: "for-tiny", Description: "works on tiny alone", Recipe: "#cloud-config\n", Images: []string{"tiny"}})
		addHugeImage(t, c.Images)
	})
	runScripts(t, n, "../scripts/waiting")
}

// The same where VMs run, on simulated hosts.
func TestScriptsOfRunningVMs(t *testing.T) {
	runScripts(t, fakeNetwork(t, nil), "../scripts/living")
}

// Resizing and rebuilding, on hosts that no other script shares: whether there is room is what it is about.
func TestScriptsOfReshapedVMs(t *testing.T) {
	runScripts(t, fakeNetwork(t, func(c *devnet.Config) { c.Plans = reshapePlans() }), "../scripts/reshaping")
}

func runScripts(t *testing.T, n *devnet.Net, dir string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setUpDesk(e, n) },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"hippius": runTool, "status": checkStatus, "until": until, "get": getField, "narrow": checkNarrow,
		},
	})
}

// addHugeImage puts an image into the catalogue that fits on no small plan.
func addHugeImage(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "images.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	huge := maps.Clone(list[0])
	huge["name"], huge["virtual_size_bytes"] = "huge", 30<<30
	if data, err = json.Marshal(append(list, huge)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// setUpDesk gives a script a home, a passphrase, keys and the network's profile.
func setUpDesk(e *testscript.Env, n *devnet.Net) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(e.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, toolName)); err != nil {
		return err
	}
	e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
	e.Setenv(beTool, "1")
	home := filepath.Join(e.WorkDir, "home")
	e.Setenv("HIPPIUS_HOME", home)
	e.Defer(func() { demo.EndMesh(home) })
	e.Setenv("HIPPIUS_PASSPHRASE_FILE", filepath.Join(e.WorkDir, "passphrase"))
	e.Setenv("NETWORK", n.Profile())
	profile, err := os.ReadFile(n.Profile())
	if err != nil {
		return err
	}
	keys, err := sshKeys()
	if err != nil {
		return err
	}
	files := map[string]string{
		"passphrase": "correct horse battery\n", "wrong": "incorrect horse battery\n",
		// The same nodes, but not the chain that was asked for; and the same chain, but nobody there.
		"other-chain.json": strings.ReplaceAll(string(profile), n.Chain().ChainID(), "other-chain"),
		"dead.json":        regexp.MustCompile(`"address": "[^"]*"`).ReplaceAllString(string(profile), `"address": "127.0.0.1:9"`),
	}
	maps.Copy(files, keys)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sshKeys are two good pairs, public keys of the other kinds, and an RSA key of the days of yore.
func sshKeys() (map[string]string, error) {
	files := map[string]string{}
	for _, name := range []string{"laptop", "desktop"} {
		pub, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		line, err := ssh.NewPublicKey(pub)
		if err != nil {
			return nil, err
		}
		block, err := ssh.MarshalPrivateKey(private, "")
		if err != nil {
			return nil, err
		}
		files[name], files[name+".pub"] = string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		return nil, err
	}
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return nil, err
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	for name, pub := range map[string]any{"weak": &weak.PublicKey, "rsa": &long.PublicKey, "ecdsa": &curve.PublicKey} {
		line, err := ssh.NewPublicKey(pub)
		if err != nil {
			return nil, err
		}
		files[name+".pub"] = string(ssh.MarshalAuthorizedKey(line))
	}
	token, err := securityKey()
	files["token.pub"] = token
	return files, err
}

// securityKey is the public key of one that is touched, made for "ssh:" as ssh-keygen does.
func securityKey() (string, error) {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, pub, "ssh:"})
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(key)), nil
}

// runTool is `hippius ARGS...`: it must succeed, or with ! fail. What it said is for stdout, stderr and status.
func runTool(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(toolName, args...)
	status := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", toolName, err)
	}
	ts.Setenv("STATUS", strconv.Itoa(status))
	if neg == (status == 0) {
		ts.Fatalf("hippius %s: exit status %d", strings.Join(args, " "), status)
	}
}

// checkStatus is `status N`: the exit status of the last hippius.
func checkStatus(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 || ts.Getenv("STATUS") != args[0] {
		ts.Fatalf("exit status is %s, want %s", ts.Getenv("STATUS"), strings.Join(args, " "))
	}
}

// until is `until REGEXP ARGS...`: hippius ARGS is called again and again until what it prints matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(toolName, args[1:]...)
		out := ts.ReadFile("stdout")
		if err == nil && want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("hippius %s: still %v\n%s", strings.Join(args[1:], " "), err, out)
		}
	}
}

// getField is `get VAR FIELD`: a field of the JSON printed last.
func getField(ts *testscript.TestScript, _ bool, args []string) {
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile("stdout"))))
	d.UseNumber()
	ts.Check(d.Decode(&v))
	if len(args) != 2 || v[args[1]] == nil {
		ts.Fatalf("there is no field %q", args[1])
	}
	ts.Setenv(args[0], fmt.Sprint(v[args[1]]))
}

// checkNarrow is `narrow`: no line printed last is wider than 100 characters.
func checkNarrow(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 {
			ts.Fatalf("a line has %d characters:\n%s", n, line)
		}
	}
}
