// Command hippius is the tenant's command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hippius/compute/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	env := cli.SystemEnv()
	env.Version = version
	status := cli.Run(ctx, env, os.Args[1:])
	stop()
	os.Exit(status)
}
