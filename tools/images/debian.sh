#!/usr/bin/env bash
# Builds a generic Debian 12 cloud image from Debian's packages alone: cloud-init
# (NoCloud), OpenSSH, the QEMU guest agent; tuned to start fast.
#
#   debian.sh OUTDIR    writes OUTDIR/debian-12.qcow2
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=lib/disk.sh
. "$here/lib/disk.sh"

readonly DISK_MIB=2048
readonly ROOT_UUID=6d1f5a0c-3e0b-4f57-9c1a-8b0d5c7e2a14
readonly POOL=var/lib/offline-packages

# Work that a guest does not need at every start, or at all.
readonly MASKED=(
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
	e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service
	systemd-pstore.service getty@tty1.service sys-kernel-debug.mount
	sys-kernel-tracing.mount dev-mqueue.mount dev-hugepages.mount
	cloud-init-hotplugd.socket systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
	sys-fs-fuse-connections.mount sys-kernel-config.mount modprobe@drm.service
	modprobe@dm_mod.service modprobe@loop.service systemd-initctl.socket
)

names() { grep -vE '^(#|$)' "$1" | paste -sd,; }

unpack() {
	debian_sources "$work/sources.list"
	local options
	mapfile -t options < <(apt_options)
	mmdebstrap --quiet --variant=minbase --include="$(names "$here/debian/packages.txt")" \
		--aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
		--essential-hook="mkdir -p \"\$1/etc/tiny-initramfs\" && cp $here/debian/overlay/etc/tiny-initramfs/* \"\$1/etc/tiny-initramfs/\"" \
		"${options[@]}" bookworm "$root" "$work/sources.list"
}

# in_root CMD...: runs a program of the image in it.
in_root() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }

# A local repository with the offline packages, and its list already read, so that
# apt-get install works with no network and no update.
offline() {
	local options=() option wanted missing
	local only=(-o Dir::Etc::sourcelist=sources.list.d/offline-packages.list -o Dir::Etc::sourceparts=-)
	wanted=$(names "$here/debian/offline.txt" | tr , ' ')
	while read -r option; do options+=(-o "$option"); done < <(apt_options | sed 's/^--aptopt=//; s/ "/=/; s/"$//')
	rm -f "$root"/etc/apt/sources.list.d/* "$root/etc/resolv.conf"
	cp "$work/sources.list" "$root/etc/apt/sources.list"
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	in_root apt-get "${options[@]}" -q update
	# shellcheck disable=SC2086 # a list of names
	in_root apt-get "${options[@]}" -q -y --download-only install $wanted
	mkdir -p "$root/$POOL"
	mv "$root"/var/cache/apt/archives/*.deb "$root/$POOL/"
	in_root apt-get clean
	rm -rf "$root"/var/lib/apt/lists/*
	(cd "$root/$POOL" && apt-ftparchive packages . >Packages)
	echo "deb [trusted=yes] file:/$POOL ./" >"$root/etc/apt/sources.list.d/offline-packages.list"
	in_root apt-get "${only[@]}" -q update
	# shellcheck disable=SC2086
	missing=$(in_root apt-get -q -y --print-uris install $wanted | grep http || true)
	[ -z "$missing" ] || die "not in the offline repository: $missing"
	# shellcheck disable=SC2086
	in_root apt-get -q -y --simulate install $wanted
}

configure() {
	cp -r --no-preserve=ownership "$here/debian/overlay/." "$root/"
	# One root-only account; the seed brings the others.
	in_root passwd -l root
	in_root systemctl enable systemd-networkd systemd-resolved systemd-timesyncd ssh qemu-guest-agent || true
	in_root systemctl mask "${MASKED[@]}"
	ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
	# The journal mends what a crash left; a check at each start would take seconds.
	printf 'UUID=%s / ext4 rw,noatime,errors=remount-ro 0 0\n' "$ROOT_UUID" >"$root/etc/fstab"
	echo localhost >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$root/etc/hosts"
	in_root update-tirfs
	write_menu
}

# The menu that update-grub would write; it cannot run here, because it asks the
# kernel which disk the root is on. In the guest it can.
write_menu() {
	local release
	release=$(ls "$root/lib/modules")
	mkdir -p "$root/boot/grub"
	cat >"$root/boot/grub/grub.cfg" <<-EOF
		set timeout=0
		menuentry 'Debian GNU/Linux' {
			search --no-floppy --fs-uuid --set=root $ROOT_UUID
			linux /boot/vmlinuz-$release root=UUID=$ROOT_UUID rw console=tty0 console=ttyS0,115200 net.ifnames=0
			initrd /boot/initrd.img-$release
		}
	EOF
	mkdir -p "$root/boot/grub/i386-pc"
	cp "$root"/usr/lib/grub/i386-pc/*.{mod,lst} "$root/boot/grub/i386-pc/"
}

# What must differ between VMs, and what only the build needed.
clean() {
	rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/etc/apt/apt.conf.d/99mmdebstrap"
	: >"$root/etc/machine-id"
	rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/debconf/*-old "$root"/var/log/{apt,dpkg.log,alternatives.log,bootstrap.log} \
		"$root"/run/* "$root"/tmp/* "$root"/usr/share/{man,info,locale}/*
	# The licences stay.
	find "$root/usr/share/doc" -type f ! -name copyright -delete
	find "$root/usr/lib/modules" -name 'modules.*' -newermt "@$SOURCE_DATE_EPOCH" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
	# Newer than /usr: nothing is regenerated on the first start.
	touch "$root/etc/.updated" "$root/var/.updated"
}

disk() {
	cat >"$work/grub.cfg" <<-'EOF'
		set root=(hd0,gpt2)
		set prefix=(hd0,gpt2)/boot/grub
		normal
	EOF
	write_gpt "$work/disk" "$DISK_MIB"
	write_root "$work/disk" "$root" debian "$ROOT_UUID"
	# In the core, because each module read from the disk takes its time.
	write_grub "$work/disk" "$work/grub.cfg" normal linux search search_fs_uuid echo test ls configfile gzio minicmd
	to_qcow2 "$work/disk" "$out/debian-12.qcow2" -c -o compression_type=zstd
}

[ $# -eq 1 ] || die "usage: debian.sh OUTDIR"
require_root
require_tools mmdebstrap apt-get apt-ftparchive sfdisk mke2fs grub-mkimage qemu-img
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/debian-image.XXXXXX")
root=$work/root
export BUILD_LOG=$out/debian.log
: >"$BUILD_LOG"
trap 'rm -rf "$work"' EXIT

step "debian: install packages" unpack
step "debian: offline packages" offline
step "debian: configure" configure
step "debian: clean" clean
step "debian: disk" disk
