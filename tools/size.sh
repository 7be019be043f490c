#!/usr/bin/env bash
# Limits on what tenants download: the command line and the agent inside every machine.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
check() {
	size=$(stat -c %s "build/bin/$1")
	printf '%s_mb %d.%02d MB (limit %d)\n' "$1" $((size / 1000000)) $((size % 1000000 / 10000)) "$2"
	if [ "$size" -gt $(($2 * 1000000)) ]; then
		echo "$1 is over its limit" >&2
		status=1
	fi
}
check hippius 40
check hippius-guest 22
exit $status
