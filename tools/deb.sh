#!/usr/bin/env bash
# Builds the Debian packages from deploy/deb and the built programs, with dpkg-deb alone. The same input gives the same
# bytes. Usage: tools/deb.sh OUT [VERSION [COMPRESSION [PACKAGE...]]]; COMPRESSION is dpkg-deb's, such as xz or none.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?usage: tools/deb.sh OUT [VERSION [COMPRESSION [PACKAGE...]]]}")
version=${2:-$(git describe --tags --always --dirty)}
compression=${3:-xz}
if [ $# -gt 3 ]; then packages=("${@:4}"); else packages=(hippius hippius-miner hippius-validator hippius-gateway); fi
umask 022

# A Debian version begins with a digit and has no dash, and 1.0.0~rc1 comes before 1.0.0.
version=${version#v}
for early in alpha beta rc; do version=${version/-$early/\~$early}; done
case $version in
[0-9]*.*) ;;
*) version="0.0~git$(git log -1 --format=%cd --date=format:%Y%m%d%H%M%S).$version" ;;
esac
version=${version//-/+}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
arch=$(dpkg --print-architecture)
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fill SCRIPT VARS PURGE: a maintainer script with what is its package's own.
fill() {
	local line
	while IFS= read -r line; do
		case $line in
		@VARS@) cat "$2" ;;
		*@PURGE@) if [ -f "$3" ]; then cat "$3"; fi ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$1"
}

for name in "${packages[@]}"; do
	dir=deploy/deb/$name
	root=$work/$name
	mkdir -p "$root/DEBIAN"
	while read -r from to mode; do
		case $from in bin/*) from=build/$from ;; esac
		install -D -m "$mode" "$from" "$root/$to"
		case $to in etc/*) echo "/$to" >>"$root/DEBIAN/conffiles" ;; esac
	done <"$dir/files"
	install -D -m 0644 LICENSE "$root/usr/share/doc/$name/copyright"
	if [ -f "$dir/vars" ]; then
		for script in postinst prerm postrm; do
			fill "deploy/deb/$script" "$dir/vars" "$dir/purge" >"$root/DEBIAN/$script"
			chmod 0755 "$root/DEBIAN/$script"
		done
	fi
	sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" "$dir/control" >"$root/DEBIAN/control"
	printf 'Installed-Size: %s\n' "$(du -sk --apparent-size "$root" | cut -f1)" >"$work/size"
	sed -i "/^Architecture:/r $work/size" "$root/DEBIAN/control"
	(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -Z"$compression" --build "$root" "$out/${name}_${version}_$arch.deb" >/dev/null
	echo "$out/${name}_${version}_$arch.deb"
done
