// Command hippius-devnet runs a whole network on one host.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hippius/compute/daemon/devnet/command"
	"github.com/hippius/compute/internal/run"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := run.Signals(context.Background())
	cmd := command.New(version)
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "hippius-devnet: %v\n", err)
		if errors.Is(err, command.ErrInterrupted) {
			os.Exit(130) // as shells have it for SIGINT
		}
		os.Exit(1)
	}
}
