// Package daemon holds what the main functions of all daemons share: one
// settings file, one log, a clean end on a signal. The daemons themselves are
// assembled in the folders below.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/internal/observe"
	"github.com/hippius/compute/internal/run"
)

// Main runs a daemon as a program: it reads the arguments, then the settings
// file over the defaults, and runs until SIGINT or SIGTERM. It has further commands beside. It does not return.
func Main[C any](name, version string, defaults func() C, start func(context.Context, C, *slog.Logger) error, further ...*cobra.Command) {
	ctx, stop := run.Signals(context.Background())
	cmd := Command(name, version, defaults, start)
	cmd.AddCommand(further...)
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is the daemon's command line.
func Command[C any](name, version string, defaults func() C, start func(context.Context, C, *slog.Logger) error) *cobra.Command {
	var path, level, format string
	cmd := &cobra.Command{
		Use:           name + " --config FILE",
		Short:         "Run " + name,
		Example:       fmt.Sprintf("  %s sample > %s.yaml\n  %s --config %s.yaml", name, name, name, name),
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := config.Load(path, defaults())
			if err != nil {
				return err
			}
			log, err := observe.Logger(cmd.ErrOrStderr(), level, format)
			if err != nil {
				return err
			}
			log.Info("starting", "program", name, "version", version)
			if err := start(cmd.Context(), set, log); err != nil {
				return err
			}
			log.Info("ended")
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "read settings from `FILE`")
	cmd.Flags().StringVar(&level, "log-level", "info", "log from `LEVEL` on: debug, info, warn or error")
	cmd.Flags().StringVar(&format, "log-format", observe.Text, "log in `FORMAT`: text or json")
	cobra.CheckErr(cmd.MarkFlagRequired("config"))
	cmd.AddCommand(&cobra.Command{
		Use: "sample", Short: "Print the default settings", Args: cobra.NoArgs, Example: "  " + name + " sample > " + name + ".yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			e := yaml.NewEncoder(cmd.OutOrStdout())
			e.SetIndent(2)
			return errors.Join(e.Encode(defaults()), e.Close())
		},
	})
	return cmd
}
