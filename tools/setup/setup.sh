#!/usr/bin/env bash
# Installs the Debian packages that are missing (make setup). Starts no service. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v dpkg-query >/dev/null; then
	echo "setup: this is no Debian; install what tools/setup/packages.txt and tools/images/packages.txt list" >&2
	exit 1
fi
missing=()
for package in $(cat tools/setup/packages.txt tools/images/packages.txt | grep -v '^#' | sort -u); do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
	echo "setup: nothing is missing"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: missing are ${missing[*]}; run 'make setup' as root" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}"

# Debian starts a package's services when it installs it; this says no, as long as nobody else has said something.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p build
log=build/setup.log
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }
: >"$log"
# The lists may be missing or old: then once more after an update.
install || { apt-get update -qq >>"$log" 2>&1 && install; } || {
	tail -n 20 "$log" >&2
	echo "setup: apt failed; the whole story is in $log" >&2
	exit 1
}
echo "setup: done"
