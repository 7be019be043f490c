package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/privatefile"
	"github.com/hippius/compute/tenant"
)

const (
	// sshConfigFile is the home folder's file that the user's own configuration includes.
	sshConfigFile = "ssh_config"
	// hostSuffix sets VMs' names apart from other hosts the user may have named alike.
	hostSuffix = ".hippius"
	// maxUserConfig bounds the user's own configuration, in bytes.
	maxUserConfig = 1 << 20
)

type sshConfigFlags struct {
	identity, user string
	print, install bool
}

func (c *command) sshConfig() *cobra.Command {
	var f sshConfigFlags
	cmd := &cobra.Command{
		Use:     "ssh-config [VM...]",
		GroupID: groupVMs,
		Short:   "Let plain ssh, scp, rsync and sftp reach VMs by name",
		Long: `Write an OpenSSH configuration with a host NAME.hippius for every VM of the account,
or for those named. ssh, scp, sftp, rsync (if the VM has it) and port forwarding
then work over the mesh. Only host certificates of the host CA on chain are
accepted. The configuration is a separate file that is overwritten each time: run
this again after VMs were created or terminated. Your own configuration is changed
only by --install, which adds the one line that includes the file.`,
		Example: `  hippius ssh-config --install
  ssh web-1.hippius
  scp notes.txt web-1.hippius:
  rsync -a site/ web-1.hippius:site/
  ssh -L 8080:localhost:80 web-1.hippius
  ssh -N -D 1080 -R 9000:localhost:9000 web-1.hippius
  hippius ssh-config -i ~/.ssh/work --print web-1 >> ~/.ssh/config`,
		ValidArgsFunction: c.completeVMs,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.runSSHConfig(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.identity, "identity", "i", "", "log in with the private key in `FILE` only")
	flags.StringVarP(&f.user, "login", "l", "", "log in as `USER` (default hippius, the image's user)")
	flags.BoolVar(&f.print, "print", false, "print the configuration instead of writing the file")
	flags.BoolVar(&f.install, "install", false, "include the file in ~/.ssh/config, if it is not included yet")
	must(cmd.MarkFlagFilename("identity"))
	cmd.MarkFlagsMutuallyExclusive("print", "install")
	return cmd
}

// completeVMs completes any number of the account's VMs.
func (c *command) completeVMs(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	names, directive := c.completeVM(cmd, nil, word)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args, name) }), directive
}

// sshConfigView is what was written.
type sshConfigView struct {
	File      string   `json:"file"`
	Include   string   `json:"include"`
	Installed bool     `json:"installed"`
	Hosts     []string `json:"hosts"`
}

func (c *command) runSSHConfig(ctx context.Context, f sshConfigFlags, refs []string) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.close()
	vms, err := s.vms(ctx, refs)
	if err != nil {
		return err
	}
	// Now, when somebody is there to ask: a ProxyCommand has no terminal.
	if err := c.ensureDevice(ctx, s); err != nil {
		return err
	}
	text, hosts, err := c.sshConfigText(f, vms)
	if err != nil {
		return err
	}
	if f.print {
		_, err := c.env.Out.Write(text)
		return err
	}
	if err := c.writeFile(sshConfigFile, text); err != nil {
		return err
	}
	v := sshConfigView{File: c.path(sshConfigFile), Include: includeLine(c.path(sshConfigFile)), Hosts: hosts}
	if f.install {
		user := c.env.Getenv("HOME")
		if user == "" {
			return withHint(errors.New("HOME is not set, so there is no ~/.ssh/config"), "include the file yourself: %s", v.Include)
		}
		if err := includeIn(filepath.Join(user, ".ssh", "config"), v.Include); err != nil {
			return err
		}
		v.Installed = true
	}
	return c.print(v, func(w *tableWriter) {
		w.row(fmt.Sprintf("%s has %d hosts", v.File, len(v.Hosts)))
		for _, h := range v.Hosts {
			w.row("  ssh " + h)
		}
		if v.Installed {
			w.row("~/.ssh/config includes it. Run this again after VMs were created or terminated")
		} else {
			w.row("Put this line first in ~/.ssh/config, or run 'hippius ssh-config --install':")
			w.row("  " + v.Include)
		}
	})
}

// vms are those named, or all that are not terminated, by name.
func (s *session) vms(ctx context.Context, refs []string) ([]vm.VM, error) {
	if len(refs) == 0 {
		vms, err := s.chain.VMs(ctx, s.address, false)
		slices.SortFunc(vms, func(a, b vm.VM) int { return cmp.Compare(a.Spec.Name, b.Spec.Name) })
		return vms, err
	}
	var vms []vm.VM
	for _, ref := range refs {
		v, err := s.findVM(ctx, ref)
		if err != nil {
			return nil, err
		}
		vms = append(vms, v)
	}
	return vms, nil
}

// sshConfigText is the configuration for some VMs and the names it gives them.
func (c *command) sshConfigText(f sshConfigFlags, vms []vm.VM) (text []byte, hosts []string, err error) {
	user := f.user
	if user == "" {
		user = defaultUser
	}
	if strings.ContainsFunc(user, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
		return nil, nil, usagef("--login %q is not a user name", user)
	}
	identity, err := identityPath(f.identity)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	b.WriteString("# Written by 'hippius ssh-config', which overwrites it. Put your own settings into ~/.ssh/config.\n")
	for _, v := range vms {
		addr, err := tenant.Address(v.Spec)
		if err != nil {
			return nil, nil, err
		}
		options, err := c.sshOptions(v)
		if err != nil {
			return nil, nil, err
		}
		if strings.ContainsAny(c.env.Self+c.env.Home+identity, "\r\n") {
			return nil, nil, fmt.Errorf("a path with line breaks cannot be written to ssh's configuration: %q", c.env.Home)
		}
		name := v.Spec.Name + hostSuffix
		hosts = append(hosts, name)
		fmt.Fprintf(&b, "\nHost %s %s\n", name, v.ID)
		all := append([]sshOption{{"HostName", addr.String()}, {"User", user}}, options...)
		if identity != "" {
			all = append(all, sshOption{"IdentityFile", quoteOption(identity)}, sshOption{"IdentitiesOnly", "yes"})
		}
		for _, o := range all {
			fmt.Fprintf(&b, "    %s %s\n", o.key, o.value)
		}
	}
	return b.Bytes(), hosts, nil
}

// identityPath makes a private key's path hold wherever ssh is called.
func identityPath(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the private key: %w", err)
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("private key: %w", err)
	}
	if strings.HasSuffix(abs, ".pub") {
		return "", withHint(fmt.Errorf("%s is a public key", path), "give the private key: %s", strings.TrimSuffix(path, ".pub"))
	}
	return abs, nil
}

// includeLine is what includes a file, whatever its name: ssh looks for a
// pattern there, and knows no percent signs.
func includeLine(path string) string {
	pattern := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
	return `Include "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(pattern) + `"`
}

// includeIn puts a line first in the user's own configuration, where it counts
// for every host, unless it is there. All else stays as it is, byte for byte.
func includeIn(path, line string) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // people keep their configuration elsewhere
	}
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make folder of ssh's configuration: %w", err)
		}
	case err != nil:
		return fmt.Errorf("read ssh's configuration: %w", err)
	case len(old) > maxUserConfig:
		return fmt.Errorf("%s has more than %d bytes; add the line yourself: %s", path, maxUserConfig, line)
	}
	if included(old, line) {
		return nil
	}
	text := append([]byte(line+"\n"), old...)
	if len(old) > 0 {
		text = append([]byte(line+"\n\n"), old...)
	}
	if err := privatefile.Replace(path, text); err != nil {
		return fmt.Errorf("include in ssh's configuration: %w", err)
	}
	return nil
}

// included finds the line before the first host, where it counts for all.
func included(config []byte, line string) bool {
	for l := range strings.Lines(string(config)) {
		l = strings.TrimSpace(l)
		word, _, _ := strings.Cut(strings.ReplaceAll(l, "=", " "), " ")
		switch {
		case l == line:
			return true
		case strings.EqualFold(word, "host") || strings.EqualFold(word, "match"):
			return false
		}
	}
	return false
}
