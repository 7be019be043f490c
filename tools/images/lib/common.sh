# Shared by the image scripts: logging with seconds, the host's package sources,
# and library lookup inside an unpacked tree. Sourced, never run.

# The package tools live in sbin, which a user's PATH may lack.
export PATH="/usr/local/sbin:/usr/sbin:/sbin:$PATH"
export LC_ALL=C TZ=UTC
umask 022

# Times inside the images: fixed, so that equal inputs give equal bytes wherever
# the tools allow it.
: "${SOURCE_DATE_EPOCH:=1735689600}"
export SOURCE_DATE_EPOCH

die() {
	printf 'images: %s\n' "$*" >&2
	exit 1
}

# step NAME CMD...: runs CMD and prints how long it took. The output of CMD goes
# to $BUILD_LOG; its tail is shown when CMD fails.
#
# CMD runs in a subshell of its own with errexit, because bash ignores errexit
# inside a function whose result is tested.
step() {
	local name=$1 start end rc
	shift
	start=$(date +%s%N)
	set +e
	(
		set -e
		"$@"
	) >>"$BUILD_LOG" 2>&1
	rc=$?
	set -e
	end=$(date +%s%N)
	if [ "$rc" -ne 0 ]; then
		tail -n 30 "$BUILD_LOG" >&2
		die "$name: failed ($rc); log: $BUILD_LOG"
	fi
	printf '%-28s %4d.%d s\n' "$name" $(((end - start) / 1000000000)) $((((end - start) / 100000000) % 10))
}

require_root() {
	[ "$(id -u)" -eq 0 ] || die "must run as root (file owners inside the image)"
}

require_tools() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "$tool is missing; install tools/images/packages.txt"
	done
}

# debian_sources FILE: writes the host's own Debian 12 sources, whatever form and
# mirror they have in /etc/apt, as one-line entries. Other vendors' are left out.
debian_sources() {
	apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' |
		grep -E '^deb [^ ]+ bookworm(-updates|-security)? ' | LC_ALL=C sort -u >"$1" || true
	[ -s "$1" ] || die "no Debian 12 (bookworm) source in /etc/apt, or apt-get update was never run"
}

# apt_options: the host's proxy and date-check settings as mmdebstrap options, one
# a line. They hold for the build only.
apt_options() {
	apt-config dump --format '%f "%v";%n' Acquire |
		grep -E '^Acquire::([a-z]+::Proxy|Check-Valid-Until|Check-Date|Retries) ".+"' |
		sed 's/^/--aptopt=/' || true
}

# libs_of ROOT BINARY...: the shared libraries (paths inside ROOT) that the
# binaries, also given as paths inside ROOT, need. Answers from the tree alone.
libs_of() {
	local root=$1 dirs=lib/x86_64-linux-gnu:usr/lib/x86_64-linux-gnu:usr/libexec/sudo:usr/lib/sudo binary
	shift
	for binary in "$@"; do
		(cd "$root" && "./lib64/ld-linux-x86-64.so.2" --library-path "$dirs" --list "./$binary") |
			awk '$2 == "=>" && $3 ~ /\// { print $3 }'
	done | sort -u
}
