package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

// maxKeyFile bounds a public key file, in bytes.
const maxKeyFile = 16 << 10

func (c *command) key() *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", GroupID: groupAccount, Short: "SSH keys of the account",
		Example: "  hippius key add laptop ~/.ssh/id_ed25519.pub\n  hippius key ls\n  hippius key rm laptop",
	}
	cmd.AddCommand(c.keyAdd(), c.keyLs(), c.keyRm())
	return cmd
}

func (c *command) keyAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME FILE",
		Short: "Add an SSH public key",
		Long: `Add an SSH public key under a name. FILE is a public key such as
~/.ssh/id_ed25519.pub; - reads it from standard input. Accepted are ssh-ed25519,
ssh-rsa from 2048 bits, ecdsa and security keys (sk-*). New VMs accept all
of the account's keys by default.`,
		Example: "  hippius key add laptop ~/.ssh/id_ed25519.pub\n  ssh-add -L | head -1 | hippius key add agent -",
		Args:    cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"pub"}, cobra.ShellCompDirectiveFilterFileExt
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			line, err := c.readPublicKey(args[1])
			if err != nil {
				return err
			}
			s, err := c.openSigning(ctx)
			if err != nil {
				return err
			}
			defer s.close()
			fingerprint, err := s.sender.AddSSHKey(ctx, args[0], line)
			if err != nil {
				return err
			}
			v := keyView{Name: args[0], Fingerprint: fingerprint}
			return c.print(v, func(w *tableWriter) { w.row("Key " + v.Name + " added: " + v.Fingerprint) })
		},
	}
}

// readPublicKey reads one line and checks it as the chain does; a private key never leaves this computer.
func (c *command) readPublicKey(path string) (string, error) {
	r := c.env.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read public key: %w", err)
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err != nil {
		return "", fmt.Errorf("read public key: %w", err)
	}
	if len(data) > maxKeyFile {
		return "", fmt.Errorf("%s has more than %d bytes; it is not an SSH public key", path, maxKeyFile)
	}
	key, err := sshkey.Parse(string(data))
	switch {
	case errors.Is(err, sshkey.ErrPrivate):
		return "", withHint(fmt.Errorf("%s is a private key; it was not sent anywhere", path),
			"give the public key, the file that ends in .pub")
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return key.Line, nil
}

type keyView struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"public_key,omitempty"`
	UsedBy      uint32 `json:"used_by"`
	AddedAt     int64  `json:"added_at,omitempty"`
}

func (c *command) keyLs() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the account's SSH keys",
		Example: "  hippius key ls -o json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.open()
			if err != nil {
				return err
			}
			defer s.close()
			keys, err := s.chain.SSHKeys(cmd.Context(), s.address)
			if err != nil {
				return err
			}
			views := make([]keyView, 0, len(keys))
			for _, k := range keys {
				views = append(views, keyView{
					Name: k.Name, Fingerprint: k.Fingerprint, PublicKey: k.PublicKey,
					UsedBy: k.UsedBy, AddedAt: k.AddedAt,
				})
			}
			return c.print(views, func(w *tableWriter) {
				w.row("NAME", "FINGERPRINT", "VMS", "ADDED")
				for _, v := range views {
					w.row(v.Name, v.Fingerprint, fmt.Sprint(v.UsedBy), when(v.AddedAt))
				}
			})
		},
	}
}

func (c *command) keyRm() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm NAME", Aliases: []string{"remove"}, Short: "Remove an SSH key from the account",
		Long: `Remove an SSH key from the account. It is no longer listed, and new VMs do not
accept it. A key that VMs use is removed only with --force. Those VMs still accept
it, because it is in their ~/.ssh/authorized_keys: remove its line there, or rebuild
or terminate the VM. A rebuild does not install a removed key; for a VM without
another key use --ssh-key.`,
		Example: "  hippius key rm laptop\n  hippius key rm stolen --force\n  hippius vm rebuild web-1 --image debian-12 --ssh-key laptop",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return c.completions(func(s *session) []string { return keyNames(cmd.Context(), s) })
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.runKeyRm(cmd.Context(), args[0], force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove the key even if VMs use it; they keep it")
	return cmd
}

// removedView is a key that left the account, and the VMs that it still opens.
type removedView struct {
	Name        string   `json:"name"`
	Fingerprint string   `json:"fingerprint"`
	Opens       []string `json:"still_opens"`
}

func (c *command) runKeyRm(ctx context.Context, name string, force bool) error {
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	key, err := s.tenant.SSHKey(ctx, name)
	if err != nil {
		return err
	}
	if !force {
		if err := s.unused(ctx, name); err != nil {
			return err
		}
	}
	if _, err := s.sender.RemoveSSHKey(ctx, name, force); err != nil {
		return err
	}
	v := removedView{Name: name, Fingerprint: key.Fingerprint}
	if v.Opens, err = s.opens(ctx, v.Fingerprint); err != nil {
		return withHint(fmt.Errorf("key %s is removed; find the VMs that keep it: %w", name, err), "see 'hippius vm show' for each VM")
	}
	return c.print(v, func(w *tableWriter) {
		w.row("Key " + name + " removed: new VMs do not accept it")
		if len(v.Opens) == 0 {
			return
		}
		w.row("Still accepted by " + strings.Join(v.Opens, ", ") + ". To remove it from a VM, use one of:")
		w.row("  hippius ssh " + v.Opens[0] + ", and remove its line from ~/.ssh/authorized_keys")
		w.row("  hippius vm rebuild " + v.Opens[0] + ", which deletes the disk and does not install the key")
		w.row("  hippius vm rm " + v.Opens[0])
	})
}

// unused refuses the key of a VM, and says which and what that means.
func (s *session) unused(ctx context.Context, key string) error {
	by, err := s.named(ctx, func(v vm.VM) bool { return slices.Contains(v.Spec.SSHKeys, key) })
	if err != nil || len(by) == 0 {
		return err
	}
	return withHint(fmt.Errorf("key %s is used by %s; a VM keeps the keys it was created with", key, strings.Join(by, ", ")),
		"to remove it anyway: 'hippius key rm %s --force', which shows how to remove it from them", key)
}

// opens are the VMs that keep a key which left the account.
func (s *session) opens(ctx context.Context, fingerprint string) ([]string, error) {
	return s.named(ctx, func(v vm.VM) bool {
		return slices.ContainsFunc(v.RemovedKeys, func(k vm.RemovedKey) bool { return k.Fingerprint == fingerprint })
	})
}

// named are the names of those of the account's VMs that are meant, in order.
func (s *session) named(ctx context.Context, meant func(vm.VM) bool) ([]string, error) {
	vms, err := s.chain.VMs(ctx, s.address, false)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, v := range vms {
		if v.Status.Phase != vm.Terminating && meant(v) {
			names = append(names, v.Spec.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
