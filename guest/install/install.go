// Package install holds the script that puts the agent in place inside a guest.
// It lies beside the agent on the shared CD.
package install

import _ "embed"

//go:embed install.sh
var script []byte

// Script gives the bytes of install.sh.
func Script() []byte { return append([]byte(nil), script...) }
