// Command hippius-miner runs other people's VMs on this machine.
package main

import (
	"github.com/hippius/compute/daemon"
	"github.com/hippius/compute/daemon/miner"
)

// version is set by the build.
var version = "dev"

func main() {
	daemon.Main("hippius-miner", version, miner.Default, miner.Run)
}
