#!/usr/bin/env bash
# Builds the guest images and lists them in images.json. Runs again cheaply: an
# image is built only if its scripts, the package sources or the kernel changed.
#
#   build.sh [--only tiny|debian] [--force] [OUTDIR]    default build/images
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
. "$here/lib/common.sh"

images="tiny debian"
force=
out=
while [ $# -gt 0 ]; do
	case $1 in
	--only)
		[ $# -ge 2 ] || die "--only needs tiny or debian"
		case $2 in tiny | debian) images=$2 ;; *) die "no image $2: tiny or debian" ;; esac
		shift 2
		;;
	--force)
		force=yes
		shift
		;;
	-*) die "unknown option $1; usage: build.sh [--only tiny|debian] [--force] [OUTDIR]" ;;
	*)
		[ -z "$out" ] || die "more than one OUTDIR"
		out=$1
		shift
		;;
	esac
done
: "${out:=$here/../../build/images}"
require_root
require_tools flock sha256sum qemu-img apt-cache
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock 9

file_of() {
	case $1 in tiny) echo tiny.qcow2 ;; debian) echo debian-12.qcow2 ;; esac
}

# stamp IMAGE: a hash of all that decides what the image holds, short of the
# mirror's every package: those change with the kernel or with --force.
stamp() {
	local sources
	sources=$(mktemp)
	debian_sources "$sources"
	{
		(cd "$here" && find "$1.sh" lib "$1" -type f -print0 | sort -z | xargs -0 sha256sum)
		awk '{ print $3, $4 }' "$sources"
		apt-cache policy linux-image-cloud-amd64 openssh-server cloud-init | grep Candidate
	} | sha256sum | cut -d' ' -f1
	rm -f "$sources"
}

# entry IMAGE: its object in images.json.
entry() {
	local file path name os version
	file=$(file_of "$1")
	path=$out/$file
	case $1 in
	tiny) name=tiny os=tiny version=12 ;;
	debian) name=debian-12 os=debian version=12 ;;
	esac
	printf '  {"name": "%s", "os": "%s", "version": "%s", "file": "%s", "sha256": "%s", "size_bytes": %d, "virtual_size_bytes": %d, "format": "qcow2", "arch": "amd64", "user": "hippius"}' \
		"$name" "$os" "$version" "$file" "$(sha256sum "$path" | cut -d' ' -f1)" "$(stat -c %s "$path")" \
		"$(qemu-img info "$path" | sed -n 's/^virtual size:.*(\([0-9]*\) bytes)$/\1/p')"
}

for image in $images; do
	want=$(stamp "$image")
	file=$(file_of "$image")
	if [ -z "$force" ] && [ -s "$out/$file" ] && [ "$(cat "$out/$image.stamp" 2>/dev/null)" = "$want" ]; then
		echo "$image: up to date"
		continue
	fi
	rm -f "$out/$image.stamp"
	"$here/$image.sh" "$out"
	echo "$want" >"$out/$image.stamp"
done

{
	echo '['
	separator=
	for image in debian tiny; do
		[ -s "$out/$(file_of "$image")" ] || continue
		printf '%b' "$separator"
		entry "$image"
		separator=',\n'
	done
	printf '\n]\n'
} >"$out/images.json.tmp"
mv -f "$out/images.json.tmp" "$out/images.json"
chmod 0755 "$out"
chmod 0644 "$out"/*.qcow2 "$out/images.json"
echo "images: $out/images.json"
