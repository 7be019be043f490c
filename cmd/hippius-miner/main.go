// Command hippius-miner runs other people's VMs on this host.
package main

import (
	"github.com/hippius/compute/daemon"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/daemon/miner/doctor"
	"github.com/hippius/compute/daemon/miner/operator"
)

// version is set by the build.
var version = "dev"

func main() {
	daemon.Main("hippius-miner", version, func() miner.Config {
		c := miner.Default()
		c.Version = version
		return c
	}, miner.Run, append(operator.Commands(operator.Dial), doctor.Command(doctor.ThisHost()))...)
}
