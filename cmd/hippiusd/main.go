// Program hippiusd is a node of the chain: a validator, or a full node that programs connect to.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hippius/compute/chain/node/command"
	"github.com/hippius/compute/internal/run"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := run.Signals(context.Background())
	err := command.Root(version).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hippiusd:", err)
	}
	os.Exit(command.Status(err))
}
