package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// ErrMustFix is returned when something keeps the miner from working.
var ErrMustFix = errors.New("something must be fixed, see above")

// Output formats.
const (
	table   = "table"
	jsonOut = "json"
)

// Command is `hippius-miner doctor`.
func Command(host Host) *cobra.Command {
	var path, format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is missing on this host, and how to fix it",
		Long: `Say what is missing on this host for VMs to run on it and earn, and how to fix it.

Nothing is changed. The exit status is 1 if something must be fixed before the
miner can work. It may be run beside a running miner.`,
		Args: cobra.NoArgs,
		Example: `  sudo hippius-miner doctor
  sudo hippius-miner doctor --config /etc/hippius/miner.yaml -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != table && format != jsonOut {
				return fmt.Errorf("--output %q: accepted are %s and %s", format, table, jsonOut)
			}
			findings := Examine(cmd.Context(), path, host)
			if err := show(cmd.OutOrStdout(), format, findings); err != nil {
				return err
			}
			if MustFix(findings) {
				return ErrMustFix
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/hippius/miner.yaml", "the miner's settings `FILE`")
	cmd.Flags().StringVarP(&format, "output", "o", table, "`FORMAT`: table or json")
	return cmd
}

func show(w io.Writer, format string, findings []Finding) error {
	if format == jsonOut {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(findings)
	}
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "%-5s %-18s %s\n", f.Level, f.Check, f.Found)
		if f.Mend != "" {
			fmt.Fprintf(&text, "%-24s → %s\n", "", f.Mend)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
