// Command hippius-gateway is the public door; so far the mesh's lighthouse and relay.
package main

import (
	"github.com/hippius/compute/daemon"
	"github.com/hippius/compute/daemon/gateway"
)

// version is set by the build.
var version = "dev"

func main() {
	daemon.Main("hippius-gateway", version, func() gateway.Config {
		c := gateway.Default()
		c.Version = version
		return c
	}, gateway.Run)
}
