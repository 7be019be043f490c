// Package cli is the tenant's command line: wallet, VMs, SSH through the
// mesh, and the bill. One file a command; what they share stands in env, state,
// output and session.
package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"
)

// Env is the outside world of one invocation.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// Home holds profile, wallet and device identity; a folder of mode 0700.
	Home string
	// Getenv looks up an environment variable.
	Getenv func(string) string
	// Interactive says that a person sits at the terminal: prompts and live progress are welcome.
	Interactive bool
	// Now is the clock.
	Now func() time.Time
	// Self is the path of this program, started again for the device's mesh process and as ssh's proxy.
	Self string
	// WorkFactor of a new wallet's encryption, as wallet.File has it; 0 for the default.
	WorkFactor int
	// Version of this program.
	Version string
	// Log takes what is for debugging, not for the tenant.
	Log *slog.Logger
}

// SystemEnv is the environment of a real terminal.
func SystemEnv() Env {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Home:        defaultHome(),
		Getenv:      os.Getenv,
		Interactive: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		Now:         time.Now,
		Self:        self,
		Log:         slog.New(slog.DiscardHandler),
	}
}

func defaultHome() string {
	if h := os.Getenv("HIPPIUS_HOME"); h != "" {
		return h
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ".hippius"
	}
	return filepath.Join(dir, "hippius")
}

// Run runs one invocation and gives the exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted.
// The command `ssh` gives ssh's own status.
func Run(ctx context.Context, env Env, args []string) int {
	root := New(env) //nolint:contextcheck // each command is run with its own context
	root.SetArgs(args)
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	return exitCode(ctx, env.Err, root.ExecuteContext(ctx))
}
