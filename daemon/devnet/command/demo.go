package command

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
)

func demonstrate(f *flags) *cobra.Command {
	var image, app, check, hello, word string
	cmd := &cobra.Command{
		Use: "demo", Short: "Bring a network up, do the main job on it as a tenant would, take it down",
		Example: "  hippius-devnet demo\n  hippius-devnet demo --image tiny --app '' --hello id --hello-word hippius", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			start := time.Now()
			err := f.with(cmd.Context(), out, cmd.ErrOrStderr(), func(ctx context.Context, n *devnet.Net, set devnet.Config) error {
				tenant, err := demo.NewTenant(filepath.Join(set.Bin, "hippius"), filepath.Join(set.Dir, "tenant"), out)
				if err != nil {
					return err
				}
				defer tenant.Close()
				return demo.Run(ctx, demo.Options{
					Tenant: tenant, Profile: n.Profile(), Image: image, Plan: "spark", App: app, Check: check, Second: "tiny",
					Hello: hello, HelloWord: word,
					Audit: n.Audit, Operators: demo.Operators(set.Bin, n.MinerSettings()), Out: out,
				})
			})
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			_, _ = fmt.Fprintf(out, "\n%.0f s in all\ndemo: ok\n", time.Since(start).Seconds())
			return nil
		},
	}
	cmd.Flags().StringVar(&image, "image", "debian-12", "image of the first VM")
	cmd.Flags().StringVar(&hello, "hello", "uname -a; cloud-init status --wait | tail -n 1; id", "first command on the first VM")
	cmd.Flags().StringVar(&word, "hello-word", "status: done", "what that must print")
	cmd.Flags().StringVar(&app, "app", "nginx", "application the first VM starts with")
	cmd.Flags().StringVar(&check, "check", "curl -sS --max-time 10 http://localhost/ | head -n 3", "command that shows the application")
	return cmd
}
