// The tools that build and check this repository, pinned apart from what the programs link.
// Run as: go tool -modfile=tools/go.mod NAME
module github.com/hippius/compute/tools

go 1.26.5

tool google.golang.org/grpc/cmd/protoc-gen-go-grpc

require (
	google.golang.org/grpc/cmd/protoc-gen-go-grpc v1.6.2 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)
