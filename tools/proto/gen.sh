#!/usr/bin/env bash
# Generates the Go code of proto/ (make gen). Every file of proto/hippius/chain is generated twice:
#   chain/x/<module>/types   gogoproto, for the chain itself (the Cosmos SDK wants it)
#   api/chain/<module>/v1    plain protobuf-go and gRPC, for every other program (links no SDK)
# and proto/hippius/node only plain, into api/node/<service>/v1. Where the plain code goes is told to the plugin
# by M options and not by rewriting go_package, so both generations embed the same descriptor.
# Needs Go and npm; asks no schema registry. The tree changes only if everything was generated.
set -euo pipefail
cd "$(dirname "$0")/../.."

module=github.com/hippius/compute
tools=$PWD/build/tools
out=$PWD/build/gen
case $(uname -m) in
x86_64) cpu=x64 ;;
*) cpu=$(uname -m) ;;
esac
buf=$PWD/tools/proto/node_modules/@bufbuild/buf-linux-$cpu/bin/buf
if [ "$("$buf" --version 2>/dev/null)" != "$(sed -n "s/.*buf-linux-$cpu\": \"\(.*\)\".*/\1/p" tools/proto/package.json)" ]; then
	npm ci --prefix tools/proto --no-fund --no-audit --loglevel=error
	[ -x "$buf" ] || { # npm takes what is optional for there or not
		echo "gen: npm did not install $buf; is its registry reachable, and its certificate trusted (NODE_EXTRA_CA_CERTS)?" >&2
		exit 1
	}
fi

mkdir -p "$tools"
go build -o "$tools" github.com/cosmos/gogoproto/protoc-gen-gocosmos google.golang.org/protobuf/cmd/protoc-gen-go
go build -modfile=tools/go.mod -o "$tools" google.golang.org/grpc/cmd/protoc-gen-go-grpc

"$buf" format --write proto
"$buf" lint

# hippius/chain/compute/v1/vm.proto -> …/api/chain/compute/v1;computev1; Cosmos files have plain twins in cosmossdk.io/api.
map=
while read -r f; do
	dir=${f%/*}
	dir=${dir#hippius/}
	name=${dir%/*}
	map+=",M$f=$module/api/$dir;${name##*/}${dir##*/}"
done < <(cd proto && find hippius -name '*.proto' | LC_ALL=C sort)
while read -r f; do
	map+=",M$f=cosmossdk.io/api/${f%/*}"
done < <(cd third_party/proto && find amino cosmos -name '*.proto' | LC_ALL=C sort)

rm -rf "$out"
mkdir -p "$out/gogo" "$out/plain"
cat >"$out/gogo.yaml" <<YAML
version: v2
plugins:
  - local: $tools/protoc-gen-gocosmos
    out: $out/gogo
    opt: plugins=grpc,Mgoogle/protobuf/any.proto=github.com/cosmos/gogoproto/types/any
inputs:
  - directory: .
    paths: [proto/hippius/chain]
YAML
cat >"$out/plain.yaml" <<YAML
version: v2
plugins:
  - local: $tools/protoc-gen-go
    out: $out/plain
    opt: module=$module$map
  - local: $tools/protoc-gen-go-grpc
    out: $out/plain
    opt: module=$module$map
inputs:
  - directory: .
    paths: [proto/hippius]
YAML
"$buf" generate --template "$out/gogo.yaml"
"$buf" generate --template "$out/plain.yaml"

# Replace what was generated before, so that a removed source leaves no stray file behind.
find chain/x -path '*/types/*.pb.go' -delete 2>/dev/null || true
find api -name '*.pb.go' -delete 2>/dev/null || true
cp -r "$out/gogo/$module/." .
cp -r "$out/plain/." .
rm -rf "$out"
