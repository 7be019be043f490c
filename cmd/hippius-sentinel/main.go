// Command hippius-sentinel runs beside a validator; so far it keeps shares of VM secrets.
package main

import (
	"github.com/hippius/compute/daemon"
	"github.com/hippius/compute/daemon/sentinel"
)

// version is set by the build.
var version = "dev"

func main() {
	daemon.Main("hippius-sentinel", version, func() sentinel.Config {
		c := sentinel.Default()
		c.Version = version
		return c
	}, sentinel.Run)
}
