package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// completeFlags completes a command's flags from the chain's catalogue.
func (c *command) completeFlags(cmd *cobra.Command) {
	for flag, list := range map[string]func(ctx context.Context, s *session) []string{
		"plan": planNames, "image": imageNames, "app": appNames, "ssh-key": keyNames, "miner": minerNames,
	} {
		if cmd.Flag(flag) == nil {
			continue
		}
		must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return c.completions(func(s *session) []string { return list(cmd.Context(), s) })
		}))
	}
}

// Without an answer of the chain there is nothing to complete with, and no place to say so.

func planNames(ctx context.Context, s *session) (names []string) {
	plans, _ := s.chain.Plans(ctx)
	for _, p := range plans {
		names = append(names, p.Name)
	}
	return names
}

func imageNames(ctx context.Context, s *session) (names []string) {
	images, _ := s.chain.Images(ctx)
	for _, i := range images {
		names = append(names, i.Name)
	}
	return names
}

func appNames(ctx context.Context, s *session) (names []string) {
	apps, _ := s.chain.Apps(ctx)
	for _, a := range apps {
		names = append(names, a.Name)
	}
	return names
}

func keyNames(ctx context.Context, s *session) (names []string) {
	keys, _ := s.chain.SSHKeys(ctx, s.address)
	for _, k := range keys {
		names = append(names, k.Name)
	}
	return names
}

func minerNames(ctx context.Context, s *session) (names []string) {
	miners, _ := s.chain.Miners(ctx)
	for _, m := range miners {
		names = append(names, m.Name)
	}
	return names
}
