package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/mesh/device"
	"github.com/hippius/compute/tenant"
)

const (
	// dialWait is how long a VM that is running may take to answer in the mesh.
	dialWait    = 90 * time.Second
	dialAgain   = 300 * time.Millisecond
	defaultUser = "hippius"
)

type sshFlags struct {
	identity string
	user     string
	options  []string
}

func (c *command) ssh() *cobra.Command {
	var f sshFlags
	cmd := &cobra.Command{
		Use:     "ssh [flags] VM [COMMAND...]",
		GroupID: groupVMs,
		Short:   "Log in to a VM over the mesh",
		Long: `Log in to a VM at its mesh address, or run a command on it. Needs no root and no
open port on either side. The VM's host certificate is verified with the host CA
on chain, so ssh does not ask about an unknown host key.`,
		Example: `  hippius ssh web-1
  hippius ssh web-1 uname -a
  hippius ssh -i ~/.ssh/other --option LocalForward=8080:localhost:80 web-1
  hippius ssh-config --install     # then use plain ssh, scp, rsync and sftp: ssh web-1.hippius`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runSSH(cmd.Context(), f, args[0], args[1:]) },
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVarP(&f.identity, "identity", "i", "", "log in with the private key in `FILE`")
	cmd.Flags().StringVarP(&f.user, "login", "l", "", "log in as `USER` (default hippius, the image's user)")
	cmd.Flags().StringArrayVar(&f.options, "option", nil, "pass `KEY=VALUE` to ssh as option -o")
	must(cmd.MarkFlagFilename("identity"))
	return cmd
}

func (c *command) runSSH(ctx context.Context, f sshFlags, ref string, command []string) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.close()
	v, err := s.findVM(ctx, ref)
	if err != nil {
		return err
	}
	if v, err = c.untilReachable(ctx, s, v); err != nil {
		return err
	}
	if err := c.ensureDevice(ctx, s); err != nil {
		return err
	}
	args, err := c.sshArgs(f, v)
	if err != nil {
		return err
	}
	return c.execSSH(ctx, append(args, command...))
}

// untilReachable waits for a VM that is on its way up, and refuses one that is not.
func (c *command) untilReachable(ctx context.Context, s *session, v vm.VM) (vm.VM, error) {
	switch phase := v.Status.Phase; {
	case phase.On():
		return v, nil
	case phase.Coming():
		return c.waitVM(ctx, s, v, waitDefault, isRunning)
	default:
		return vm.VM{}, notUp(v)
	}
}

// notUp says of a VM that is neither up nor on its way what it is instead.
func notUp(v vm.VM) error {
	name := v.Spec.Name
	if v.Status.Phase == vm.Stopped {
		return withHint(fmt.Errorf("%s is stopped", name), "start it: 'hippius vm start %s --wait'", name)
	}
	return fmt.Errorf("%s is %s", name, phaseText(viewVM(v)))
}

// sshArgs are ssh's arguments up to and with the destination.
func (c *command) sshArgs(f sshFlags, v vm.VM) ([]string, error) {
	addr, err := tenant.Address(v.Spec)
	if err != nil {
		return nil, err
	}
	options, err := c.sshOptions(v)
	if err != nil {
		return nil, err
	}
	var args []string
	for _, o := range options {
		args = append(args, "-o", o.key+"="+o.value)
	}
	if f.identity != "" {
		args = append(args, "-i", f.identity, "-o", "IdentitiesOnly=yes")
	}
	for _, o := range f.options {
		args = append(args, "-o", o)
	}
	user := f.user
	if user == "" {
		user = defaultUser
	}
	return append(args, "-l", user, "--", addr.String()), nil
}

// sshOption is one of ssh's, written as its configuration and its -o want it.
type sshOption struct{ key, value string }

// sshOptions make ssh connect to a VM and accept only its host CA. It writes the
// known hosts file that they name.
func (c *command) sshOptions(v vm.VM) ([]sshOption, error) {
	known, err := c.writeKnownHosts(v)
	if err != nil {
		return nil, err
	}
	if strings.Contains(known, "${") {
		return nil, withHint(fmt.Errorf("ssh cannot use a settings folder with ${ in its name: %s", c.env.Home), "choose another folder with --home DIR")
	}
	return []sshOption{
		{"ProxyCommand", shellQuote(c.env.Self) + " ssh-proxy --home " + shellQuote(c.env.Home) + " %h %p"},
		{"UserKnownHostsFile", quoteOption(known)},
		{"GlobalKnownHostsFile", "/dev/null"},
		{"HostKeyAlias", string(v.ID)},
		{"StrictHostKeyChecking", "yes"},
		{"UpdateHostKeys", "no"},
		{"HostKeyAlgorithms", "ssh-ed25519-cert-v01@openssh.com"},
		{"CheckHostIP", "no"},
		{"PasswordAuthentication", "no"},
		{"KbdInteractiveAuthentication", "no"},
		{"ServerAliveInterval", "15"},
		{"ServerAliveCountMax", "8"},
	}, nil
}

// writeKnownHosts writes down which CA the chain says certifies the VM's hosts.
func (c *command) writeKnownHosts(v vm.VM) (string, error) {
	if _, err := vm.ParseID(string(v.ID)); err != nil { // it names a file, and the host for ssh
		return "", fmt.Errorf("the chain node's answer is not used: %w", err)
	}
	line, err := tenant.KnownHosts(string(v.ID), v.Spec.HostCA)
	if err != nil {
		return "", err
	}
	if err := c.ensureHome(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(c.path("known_hosts.d"), 0o700); err != nil {
		return "", fmt.Errorf("write known hosts: %w", err)
	}
	name := filepath.Join("known_hosts.d", string(v.ID))
	return c.path(name), c.writeFile(name, []byte(line))
}

// execSSH runs ssh on this terminal and gives its exit status.
func (c *command) execSSH(ctx context.Context, args []string) error {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return withHint(errors.New("there is no ssh program on this computer"), "install OpenSSH's client (Debian: openssh-client)")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.env.In, c.env.Out, c.env.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return statusError(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("run ssh: %w", err)
	}
	return nil
}

// sshProxy is ssh's ProxyCommand: it joins standard input and output to a
// VM's port through this device's mesh process.
func (c *command) sshProxy() *cobra.Command {
	return &cobra.Command{
		Use:     "ssh-proxy ADDRESS PORT",
		GroupID: groupTool,
		Short:   "Connect standard input and output to a VM's port (for ssh's ProxyCommand)",
		Example: "  ssh -o ProxyCommand='hippius ssh-proxy %h %p' hippius@100.64.0.2",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := netip.ParseAddrPort(joinHostPort(args[0], args[1]))
			if err != nil {
				return usagef("%s port %s: use a mesh address such as 100.64.0.2 and a port", args[0], args[1])
			}
			return c.runProxy(cmd.Context(), target)
		},
	}
}

func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func (c *command) runProxy(ctx context.Context, target netip.AddrPort) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	if err := c.ensureDevice(ctx, s); err != nil {
		s.close()
		return err
	}
	conn, err := c.reach(ctx, s, target)
	s.close() // a session may last for days
	if err != nil {
		return err
	}
	return device.Proxy(ctx, conn, c.env.In, c.env.Out)
}

// reach connects to a VM. Meanwhile it asks the chain, so as not to wait for one that is off; a chain that does not
// answer does not prevent a connection.
func (c *command) reach(ctx context.Context, s *session, target netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var off error
	var asking sync.WaitGroup
	asking.Go(func() {
		if off = s.down(ctx, target.Addr()); off != nil {
			cancel()
		}
	})
	conn, err := c.dialMesh(ctx, target)
	cancel()
	asking.Wait()
	switch {
	case err == nil:
		return conn, nil
	case off != nil:
		return nil, off
	default:
		return nil, withHint(fmt.Errorf("reach %s over the mesh: %w", target, err),
			"check that the VM is running: 'hippius vm ls' and 'hippius vm logs'")
	}
}

// down says why the VM at an address cannot answer; nil for one that may, and where the chain does not tell.
func (s *session) down(ctx context.Context, addr netip.Addr) error {
	vms, _ := s.chain.VMs(ctx, s.address, false) // without an answer nothing is known
	for _, v := range vms {
		if at, err := tenant.Address(v.Spec); err != nil || at != addr {
			continue
		}
		if phase := v.Status.Phase; phase.On() || phase.Coming() {
			return nil
		}
		return notUp(v)
	}
	return nil
}

// dialMesh connects through this device's mesh process, again and again for as
// long as a VM that has only just started may need: its proof of life
// comes before its sshd.
func (c *command) dialMesh(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	for {
		conn, err := device.DialOrSpawn(ctx, c.path(deviceSock), target, c.spawnDevice)
		refused, ok := errors.AsType[*device.RefusedError](err)
		if !ok || refused.Kind == device.KindStart {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(dialAgain):
		}
	}
}

// spawnDevice starts this program again as the device's mesh process, apart from this terminal.
func (c *command) spawnDevice() error {
	logFile, err := os.OpenFile(c.path("device.log"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("start mesh process: %w", err)
	}
	defer func() { _ = logFile.Close() }()
	cmd := exec.Command(c.env.Self, "mesh-serve", "--home", c.env.Home) //nolint:noctx // it outlives this program
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start mesh process: %w", err)
	}
	return cmd.Process.Release()
}

// shellQuote makes one word of s for the shell that runs a ProxyCommand. Percent signs are ssh's.
func shellQuote(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteOption makes one word of s for ssh's own option parser.
func quoteOption(s string) string {
	s = strings.ReplaceAll(s, "%", "%%")
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
