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
ssh-rsa from 2048 bits, ecdsa and security keys (sk-*). New machines accept all
of the account's keys unless told otherwise.`,
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

// readPublicKey reads one line and judges it as the chain will; a private key never leaves this machine.
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
		return "", fmt.Errorf("%s has more than %d bytes; that is no SSH public key", path, maxKeyFile)
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
					Name: k.GetName(), Fingerprint: k.GetFingerprint(), PublicKey: k.GetPublicKey(),
					UsedBy: k.GetUsedBy(), AddedAt: k.GetAddedAt(),
				})
			}
			return c.print(views, func(w *tableWriter) {
				w.row("NAME", "FINGERPRINT", "MACHINES", "ADDED")
				for _, v := range views {
					w.row(v.Name, v.Fingerprint, fmt.Sprint(v.UsedBy), when(v.AddedAt))
				}
			})
		},
	}
}

func (c *command) keyRm() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME", Aliases: []string{"remove"}, Short: "Remove an SSH key that no machine uses",
		Long: `Remove an SSH key from the account: machines created from now on do not let it in.
A machine keeps the keys it was created with, in its own ~/.ssh/authorized_keys. To
lock a key out of one, remove the line there; the account forgets the key once no
machine names it.`,
		Example: "  hippius key rm laptop", Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return c.completions(func(s *session) []string { return keyNames(cmd.Context(), s) })
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, err := c.openSigning(ctx)
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.unused(ctx, args[0]); err != nil {
				return err
			}
			if err := s.sender.RemoveSSHKey(ctx, args[0]); err != nil {
				return err
			}
			return c.print(keyView{Name: args[0]}, func(w *tableWriter) {
				w.row("Key " + args[0] + " removed: machines created from now on do not let it in")
			})
		},
	}
}

// unused refuses the key of a machine, and says which and what that means.
func (s *session) unused(ctx context.Context, key string) error {
	vms, err := s.chain.VMs(ctx, s.address, false)
	if err != nil {
		return err
	}
	var by []string
	for _, vm := range vms {
		if slices.Contains(vm.GetSpec().GetSshKeys(), key) {
			by = append(by, vm.GetSpec().GetName())
		}
	}
	if len(by) == 0 {
		return nil
	}
	slices.Sort(by)
	return withHint(fmt.Errorf("key %s lets into %s; a machine keeps the keys it was created with", key, strings.Join(by, ", ")),
		"to lock it out, remove its line from ~/.ssh/authorized_keys there: 'hippius ssh %s'; the account forgets it once no machine names it", by[0])
}
