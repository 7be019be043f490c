#!/usr/bin/env bash
# Limits on what tenants download: the command line, the agent inside every machine and, compressed as web servers send
# it, the code of a web page. That takes Node a minute or two.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
check() { # check NAME BYTES LIMIT: the limit in kB
	printf '%s_mb %d.%02d MB (limit %d.%02d)\n' "$1" $(($2 / 1000000)) $(($2 % 1000000 / 10000)) $(($3 / 1000)) $(($3 % 1000 / 10))
	if [ "$2" -gt $(($3 * 1000)) ]; then
		echo "$1 is over its limit" >&2
		status=1
	fi
}
check hippius "$(stat -c %s build/bin/hippius)" 40000
check hippius-guest "$(stat -c %s build/bin/hippius-guest)" 22000

# grpcnotrace: gRPC's page of traces, which nobody opens, would link html/template, and for it the linker keeps every method.
GOOS=js GOARCH=wasm go build -tags grpcnotrace -ldflags '-s -w' -o build/page.wasm ./test/wasmsize
check page.wasm.br "$(node -e '
const {brotliCompressSync, constants} = require("zlib"), code = require("fs").readFileSync("build/page.wasm")
console.log(brotliCompressSync(code, {params: {[constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: code.length}}).length)
')" 4500
exit $status
