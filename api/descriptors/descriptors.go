// Package descriptors is where the generated messages of api register, in place of protobuf's global registry: the chain's
// own code registers messages of the same names there, and no registry takes a name twice.
package descriptors

import "google.golang.org/protobuf/reflect/protoregistry"

// Files and Types are filled while packages initialize, by the generated code alone, and only read afterwards.
//
//nolint:gochecknoglobals // generated code has nothing else to register with
var (
	Files = new(protoregistry.Files)
	Types = new(protoregistry.Types)
)
