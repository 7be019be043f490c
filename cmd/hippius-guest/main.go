// Command hippius-guest runs inside each VM.
package main

import (
	"os"

	"github.com/hippius/compute/daemon/guest"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(guest.Main(os.Args[1:], version)) }
