#!/usr/bin/env bash
# Copies the foreign .proto files that our own ones and the chain's clients need, and what those import, from the
# module cache into third_party/proto, with their licences, at the versions go.mod pins. Run after raising one of those
# versions, or after adding a file to the lists below; the result is committed, so generating needs no network.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=third_party/proto

dir() { # the module's folder in the module cache
	go list -m -f '{{.Dir}}' "$1"
}
take() { # take FOLDER LICENCE-NAME FILE...: keeps the path below FOLDER
	local from=$1 licence=$2 f
	shift 2
	for f in "$@"; do
		install -D -m 0644 "$from/$f" "$out/$f"
	done
	[ -z "$licence" ] || install -D -m 0644 "$licence" "$out/LICENSE.${licence_name:?}"
}

rm -rf "$out"
go mod download github.com/cosmos/cosmos-sdk github.com/cosmos/gogoproto github.com/cosmos/cosmos-proto github.com/grpc-ecosystem/grpc-gateway

sdk=$(dir github.com/cosmos/cosmos-sdk)
licence_name=cosmos-sdk take "$sdk/proto" "$sdk/LICENSE" \
	amino/amino.proto \
	cosmos/auth/v1beta1/auth.proto \
	cosmos/auth/v1beta1/query.proto \
	cosmos/bank/v1beta1/bank.proto \
	cosmos/bank/v1beta1/query.proto \
	cosmos/base/abci/v1beta1/abci.proto \
	cosmos/base/query/v1beta1/pagination.proto \
	cosmos/base/tendermint/v1beta1/query.proto \
	cosmos/base/tendermint/v1beta1/types.proto \
	cosmos/base/v1beta1/coin.proto \
	cosmos/crypto/multisig/v1beta1/multisig.proto \
	cosmos/crypto/secp256k1/keys.proto \
	cosmos/gov/v1/gov.proto \
	cosmos/gov/v1/query.proto \
	cosmos/gov/v1/tx.proto \
	cosmos/msg/v1/msg.proto \
	cosmos/query/v1/query.proto \
	cosmos/tx/signing/v1beta1/signing.proto \
	cosmos/tx/v1beta1/service.proto \
	cosmos/tx/v1beta1/tx.proto \
	cosmos/upgrade/v1beta1/query.proto \
	cosmos/upgrade/v1beta1/tx.proto \
	cosmos/upgrade/v1beta1/upgrade.proto \
	tendermint/abci/types.proto \
	tendermint/crypto/keys.proto \
	tendermint/crypto/proof.proto \
	tendermint/p2p/types.proto \
	tendermint/types/block.proto \
	tendermint/types/evidence.proto \
	tendermint/types/params.proto \
	tendermint/types/types.proto \
	tendermint/types/validator.proto \
	tendermint/version/types.proto
gogo=$(dir github.com/cosmos/gogoproto)
licence_name=gogoproto take "$gogo" "$gogo/LICENSE" gogoproto/gogo.proto
cp=$(dir github.com/cosmos/cosmos-proto)
licence_name=cosmos-proto take "$cp/proto" "$cp/LICENSE" cosmos_proto/cosmos.proto
gw=$(dir github.com/grpc-ecosystem/grpc-gateway)
licence_name=googleapis take "$gw/third_party/googleapis" "$gw/third_party/googleapis/LICENSE" \
	google/api/annotations.proto google/api/http.proto
