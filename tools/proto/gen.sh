#!/usr/bin/env bash
# Generates the Go code of proto/ (make gen). Every file of proto/hippius/chain is generated twice:
#   chain/x/<module>/types   gogoproto, for the chain itself (the Cosmos SDK wants it)
#   api/chain/<module>/v1    plain protobuf-go and gRPC, for every other program (links no SDK)
# and only plain proto/hippius/node, into api/node/<service>/v1, and the few messages of the SDK that clients need, into
# api/cosmos and api/tendermint. Where the plain code goes is told to the plugin by M options. It is without the options
# of others, which are for the chain and would link gogoproto.
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

# hippius/chain/compute/v1/vm.proto -> …/api/chain/compute/v1;computev1, cosmos/tx/v1beta1/tx.proto ->
# …/api/cosmos/tx/v1beta1;txv1beta1, tendermint/p2p/types.proto -> …/api/tendermint/p2p;p2p.
map=
while read -r f; do
	dir=${f%/*}
	dir=${dir#hippius/}
	package=${dir##*/}
	case $package in
	v[0-9]*) parent=${dir%/*} && package=${parent##*/}$package ;;
	esac
	map+=",M$f=$module/api/$dir;$package"
done < <((cd proto && find hippius -name '*.proto' && cd ../third_party/proto && find cosmos tendermint -name '*.proto') | LC_ALL=C sort)

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
    exclude_types: [cosmos.msg.v1, cosmos_proto, gogoproto]
  - directory: .
    exclude_types: [amino, cosmos.msg.v1, cosmos.query.v1, cosmos_proto, gogoproto, google.api]
    types: # of the Cosmos SDK, what clients need; with what these hold
      - cosmos.auth.v1beta1.Query.AccountInfo
      - cosmos.bank.v1beta1.Query.Balance
      - cosmos.base.abci.v1beta1.TxMsgData
      - cosmos.base.query.v1beta1.PageRequest
      - cosmos.base.query.v1beta1.PageResponse
      - cosmos.base.tendermint.v1beta1.Service.GetNodeInfo
      - cosmos.crypto.secp256k1.PubKey
      - cosmos.gov.v1.MsgSubmitProposal
      - cosmos.gov.v1.MsgSubmitProposalResponse
      - cosmos.gov.v1.MsgVote
      - cosmos.gov.v1.MsgVoteResponse
      - cosmos.gov.v1.Query.Params
      - cosmos.gov.v1.Query.Proposals
      - cosmos.tx.v1beta1.Service.BroadcastTx
      - cosmos.tx.v1beta1.Service.GetTx
      - cosmos.tx.v1beta1.SignDoc
      - cosmos.tx.v1beta1.TxRaw
      - cosmos.upgrade.v1beta1.MsgSoftwareUpgrade
      - cosmos.upgrade.v1beta1.Query.Authority
      - cosmos.upgrade.v1beta1.Query.CurrentPlan
      - cosmos.upgrade.v1beta1.Query.ModuleVersions
YAML
"$buf" generate --template "$out/gogo.yaml"
"$buf" generate --template "$out/plain.yaml"

# What is generated plain goes into the registry of api/descriptors: the SDK's own messages have the same names, and a
# program that links both ends at once if one registry gets a name twice.
while read -r f; do
	sed -i \
		-e "s|^import (\$|&\n\tdescriptors \"$module/api/descriptors\"|" \
		-e 's|^\tout := protoimpl.TypeBuilder{$|&\n\t\tTypeRegistry: descriptors.Types,|' \
		-e 's|^\t\tFile: protoimpl.DescBuilder{$|&\n\t\t\tFileRegistry: descriptors.Files,|' "$f"
	[ "$(grep -cE 'api/descriptors"$|: descriptors\.(Types|Files),$' "$f")" = 3 ] || {
		echo "gen: $f is not as expected: it would go into the global registry" >&2
		exit 1
	}
done < <(find "$out/plain" -name '*.pb.go' ! -name '*_grpc.pb.go')
gofmt -w "$out/plain"

# Replace what was generated before, so that a removed source leaves no stray file behind.
find chain/x -path '*/types/*.pb.go' -delete 2>/dev/null || true
find api -name '*.pb.go' -delete 2>/dev/null || true
cp -r "$out/gogo/$module/." .
cp -r "$out/plain/." .
rm -rf "$out"
