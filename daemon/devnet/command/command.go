// Package command is the command line of hippius-devnet: a network to play
// with, the demonstration, and the benchmarks.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/internal/leftover"
)

// flags of every subcommand.
type flags struct {
	dir, images string
	apps, tag   string
	verbose     bool
	miners      int
	validators  int
}

// New is the command tree.
func New(version string) *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use: "hippius-devnet", Short: "A whole network on this host", Version: version,
		Example:       "  hippius-devnet up\n  hippius-devnet demo",
		SilenceErrors: true, SilenceUsage: true,
	}
	d := devnet.Default()
	p := root.PersistentFlags()
	p.StringVar(&f.dir, "dir", "", "keep the network's files in `DIR` (default a new folder, removed at the end)")
	p.StringVar(&f.images, "images", "build/images", "offer the images built in `DIR`")
	p.StringVar(&f.apps, "apps", "tools/images/apps", "offer the applications whose recipes are in `DIR`")
	p.StringVar(&f.tag, "tag", d.Tag, "begin the names of namespaces and interfaces with `TAG`, 1 to 6 lower-case letters; one network of a tag at a time")
	p.IntVar(&f.miners, "miners", d.Miners, "miners")
	p.IntVar(&f.validators, "validators", d.Validators, "validators, each with a sentinel")
	p.BoolVarP(&f.verbose, "verbose", "v", false, "say what the network does")
	root.AddCommand(up(&f), demonstrate(&f), measure(&f), meshNode())
	return root
}

// settings of the network that the flags ask for, in a folder that is there.
func (f *flags) settings(errOut io.Writer) (set devnet.Config, cleanup func() error, err error) {
	set = devnet.Default()
	set.Miners, set.Validators, set.Tag = f.miners, f.validators, f.tag
	cleanup = func() error { return nil }
	if set.Dir = f.dir; set.Dir == "" {
		if set.Dir, err = os.MkdirTemp("", "hipd-"); err != nil {
			return set, nil, fmt.Errorf("folder of the network: %w", err)
		}
		dir := set.Dir
		cleanup = func() error { return os.RemoveAll(dir) }
	}
	if set.Images, err = filepath.Abs(f.images); err != nil {
		return set, nil, fmt.Errorf("folder of images: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return set, nil, fmt.Errorf("folder of programs: %w", err)
	}
	set.Bin = filepath.Dir(self)
	if set.Apps, err = devnet.LoadApps(f.apps, "debian-12"); err != nil {
		return set, nil, err
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	set.Log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	return set, cleanup, nil
}

// watched are the programs that must not be left running. A tenant's own
// command line may go on: its mesh process ends by itself when idle.
func watched() []string {
	return []string{"hippius-", "hippiusd", "libvirtd", "virtlogd", "qemu"}
}

// ErrInterrupted is what a command ends with that was told to end before it was done.
var ErrInterrupted = errors.New("interrupted")

// with runs use on a network, ends the network whatever happens, and fails if
// anything is left of it. The network's folder stays when its logs tell of a failure.
func (f *flags) with(ctx context.Context, out, errOut io.Writer, use func(ctx context.Context, n *devnet.Net, set devnet.Config) error, changes ...func(*devnet.Config)) error {
	before, err := leftover.Take(ctx, watched()...)
	if err != nil {
		return err
	}
	set, cleanup, err := f.settings(errOut)
	if err != nil {
		return err
	}
	for _, change := range changes {
		change(&set)
	}
	err, closed := onNetwork(ctx, out, set, use)
	now, lost := leftover.Take(context.WithoutCancel(ctx), watched()...)
	if left := now.Since(before); lost == nil && len(left) > 0 {
		lost = fmt.Errorf("left behind, by the network or by something else on this host: %q", left)
	}
	if lost = errors.Join(closed, lost); lost == nil {
		_, _ = fmt.Fprintln(out, "   nothing is left behind"+f.kept())
	}
	switch {
	case lost == nil && err == nil:
		return cleanup()
	case lost == nil && ctx.Err() != nil:
		return errors.Join(ErrInterrupted, cleanup())
	case f.dir == "":
		_, _ = fmt.Fprintf(errOut, "the network's logs are in %s\n", set.Dir)
	}
	return errors.Join(err, lost)
}

// kept says what stays because it was asked for.
func (f *flags) kept() string {
	if f.dir == "" {
		return ""
	}
	return " but the files in " + f.dir
}

// onNetwork starts a network, uses it and ends it. It tells what went wrong in
// use and what at the end.
func onNetwork(ctx context.Context, out io.Writer, set devnet.Config, use func(ctx context.Context, n *devnet.Net, set devnet.Config) error) (err, closed error) {
	start := time.Now()
	_, _ = fmt.Fprintf(out, "== the network: %d validator(s) with sentinel, %d miners, a gateway, a faucet\n", set.Validators, set.Miners)
	n, err := devnet.Start(ctx, set)
	if err != nil {
		return err, nil
	}
	_, _ = fmt.Fprintf(out, "   %.1f s\n", time.Since(start).Seconds())
	err = use(ctx, n, set)
	_, _ = fmt.Fprintln(out, "\n== the network ends")
	start = time.Now()
	closed = n.Close(context.WithoutCancel(ctx))
	_, _ = fmt.Fprintf(out, "   %.1f s\n", time.Since(start).Seconds())
	return err, closed
}

func up(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Bring a network up and keep it until Ctrl-C", Example: "  hippius-devnet up --miners 3", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			return f.with(cmd.Context(), out, cmd.ErrOrStderr(), func(ctx context.Context, n *devnet.Net, set devnet.Config) error {
				_, _ = fmt.Fprintf(out, `
The network is up. In another terminal:

  %[1]s/hippius login --network %[2]s
  %[1]s/hippius billing buy 20
  %[1]s/hippius key add me ~/.ssh/id_ed25519.pub
  %[1]s/hippius vm create web-1 --plan spark --image tiny --wait
  %[1]s/hippius ssh web-1

Each miner has capacity for one or two small VMs; 'hippius-devnet up --miners N' starts more of them.
Logs are in %[3]s. Ctrl-C ends it.
`, set.Bin, n.Profile(), set.Dir)
				return untilDone(ctx, n)
			})
		},
	}
}

// untilDone waits for Ctrl-C, and fails when a program ends by itself.
func untilDone(ctx context.Context, n *devnet.Net) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := n.Failed(); err != nil {
				return err
			}
		}
	}
}
