#!/usr/bin/env bash
# Builds the tiny guest for tests: Debian's cloud kernel, busybox, OpenSSH, rsync
# and sudo on a real disk, reading the same seed as a cloud image.
#
#   tiny.sh OUTDIR    writes OUTDIR/tiny.qcow2
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
. "$here/lib/common.sh"
# shellcheck source=lib/disk.sh
. "$here/lib/disk.sh"

readonly DISK_MIB=160
readonly ROOT_UUID=6d1f5a0c-3e0b-4f57-9c1a-8b0d5c7e2a13
readonly LIBDIR=usr/lib/x86_64-linux-gnu

# Loaded in this order: what the root disk needs, then the rest.
readonly EARLY_MODULES="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk"
readonly LATE_MODULES="failover net_failover virtio_net virtio_console virtio-rng cdrom isofs tun evdev button"

readonly PROGRAMS=(
	usr/sbin/sshd usr/bin/ssh usr/bin/scp usr/bin/ssh-keygen usr/lib/openssh/sftp-server
	usr/bin/rsync usr/bin/sudo sbin/sfdisk usr/bin/partx sbin/resize2fs
)
# Loaded by name, so that no library list shows them.
readonly PLUGINS=(usr/libexec/sudo/sudoers.so lib/x86_64-linux-gnu/security/pam_permit.so)

unpack() {
	debian_sources "$work/sources.list"
	local options
	mapfile -t options < <(apt_options)
	mmdebstrap --quiet --variant=extract \
		--include=busybox-static,openssh-server,openssh-client,rsync,sudo,fdisk,util-linux,e2fsprogs,linux-image-cloud-amd64 \
		"${options[@]}" bookworm "$work/packages" "$work/sources.list"
	release=$(ls "$work/packages/lib/modules")
	echo "$release" >"$work/release"
}

# put MODE SOURCE TARGET: installs a file into the root tree.
put() { install -D -m "$1" "$2" "$root/$3"; }

# text TARGET [MODE]: writes standard input into the root tree.
text() {
	mkdir -p "$root/$(dirname "$1")"
	cat >"$root/$1"
	chmod "${2:-0644}" "$root/$1"
}

base_tree() {
	local applet dir
	mkdir -p "$root"/{boot,dev,proc,sys,run,tmp,mnt,root,home,etc/ssh/sshd_config.d,usr/{bin,sbin,lib,lib64,local/bin,local/sbin},var/{lib/tiny,log,tmp}}
	for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
	ln -s ../run "$root/var/run"
	chmod 1777 "$root/tmp" "$root/var/tmp"
	chmod 0700 "$root/root"
	put 0755 "$work/packages/bin/busybox" usr/bin/busybox
	for applet in $("$work/packages/bin/busybox" --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
	done
}

programs() {
	local path
	for path in "${PROGRAMS[@]}"; do
		case $path in sbin/*) put 0755 "$work/packages/$path" "usr/$path" ;; *) put 0755 "$work/packages/$path" "$path" ;; esac
	done
	chmod 4755 "$root/usr/bin/sudo"
	put 0644 "$work/packages/${PLUGINS[0]}" "${PLUGINS[0]}"
	put 0644 "$work/packages/${PLUGINS[1]}" "$LIBDIR/security/pam_permit.so"
	libs_of "$work/packages" "${PROGRAMS[@]}" "${PLUGINS[@]}" >"$work/libs"
	while read -r path; do
		case $path in
		*/sudo/*) put 0644 "$work/packages/$path" "$path" ;;
		*) put 0755 "$work/packages/$path" "$LIBDIR/$(basename "$path")" ;;
		esac
	done <"$work/libs"
	put 0755 "$work/packages/lib64/ld-linux-x86-64.so.2" usr/lib64/ld-linux-x86-64.so.2
}

accounts() {
	text etc/passwd <<-'EOF'
		root:x:0:0:root:/root:/bin/sh
		sshd:x:100:65534::/run/sshd:/usr/bin/nologin
		hippius:x:1000:1000:hippius:/home/hippius:/bin/sh
		nobody:x:65534:65534:nobody:/nonexistent:/usr/bin/nologin
	EOF
	text etc/group <<-'EOF'
		root:x:0:
		tty:x:5:
		sudo:x:27:hippius
		hippius:x:1000:
		nogroup:x:65534:
	EOF
	text etc/shadow 0640 <<-'EOF'
		root:*:20000:0:99999:7:::
		sshd:*:20000:0:99999:7:::
		hippius:*:20000:0:99999:7:::
		nobody:*:20000:0:99999:7:::
	EOF
	install -d -o 1000 -g 1000 -m 0755 "$root/home/hippius"
	text etc/sudoers 0440 <<-'EOF'
		Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		root ALL=(ALL:ALL) ALL
		%sudo ALL=(ALL:ALL) NOPASSWD: ALL
	EOF
	text etc/pam.d/other <<-'EOF'
		auth     required pam_permit.so
		account  required pam_permit.so
		password required pam_permit.so
		session  required pam_permit.so
	EOF
}

settings() {
	echo tiny | text etc/hostname
	echo '127.0.0.1 localhost' | text etc/hosts
	printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' | text etc/nsswitch.conf
	ln -s /run/tiny/resolv.conf "$root/etc/resolv.conf"
	printf 'PRETTY_NAME="Tiny guest (Debian 12 kernel and programs)"\nNAME="Tiny guest"\nID=tiny\nVERSION_ID="12"\n' | text etc/os-release
	printf 'Tiny guest %s\n' '\n \l' | text etc/issue
	echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' | text etc/profile
	put 0644 "$here/tiny/sshd_config" etc/ssh/sshd_config
	put 0755 "$here/tiny/init" usr/sbin/init
	put 0755 "$here/tiny/boot" usr/lib/tiny/boot
	put 0644 "$here/tiny/netconfig.awk" usr/lib/tiny/netconfig.awk
	put 0644 "$here/tiny/authorized-keys.awk" usr/lib/tiny/authorized-keys.awk
	echo "$LATE_MODULES" | text usr/lib/tiny/modules
}

# module NAME: the path of a kernel module in the unpacked packages.
module() {
	find "$work/packages/lib/modules/$release/kernel" -name "$1.ko" | grep . || die "kernel $release has no module $1"
}

kernel() {
	local name target
	release=$(cat "$work/release")
	put 0644 "$work/packages/boot/vmlinuz-$release" boot/vmlinuz
	target=lib/modules/$release
	for name in $EARLY_MODULES $LATE_MODULES; do
		put 0644 "$(module "$name")" "$target/$name.ko"
	done
	cp "$work/packages/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$root/$target/"
	depmod -b "$root" "$release"

	mkdir -p "$work/initramfs"/{bin,dev,proc,sys,root,modules}
	cp "$work/packages/bin/busybox" "$work/initramfs/bin/busybox"
	install -m 0755 "$here/tiny/initramfs-init" "$work/initramfs/init"
	echo "$EARLY_MODULES" >"$work/initramfs/modules/order"
	for name in $EARLY_MODULES; do cp "$(module "$name")" "$work/initramfs/modules/$name.ko"; done
	find "$work/initramfs" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	(cd "$work/initramfs" && find . -print0 | sort -z |
		cpio --null --quiet --reproducible -o -H newc -R 0:0) >"$root/boot/initrd"
}

disk() {
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	cat >"$work/grub.cfg" <<-'EOF'
		set root=(hd0,gpt2)
		linux /boot/vmlinuz console=ttyS0,115200 panic=5 net.ifnames=0 mitigations=off
		initrd /boot/initrd
		boot
	EOF
	write_gpt "$work/disk" "$DISK_MIB"
	write_root "$work/disk" "$root" tiny "$ROOT_UUID"
	write_grub "$work/disk" "$work/grub.cfg" linux
	# Not compressed: unpacking would add seconds to each start under emulation.
	to_qcow2 "$work/disk" "$out/tiny.qcow2"
}

[ $# -eq 1 ] || die "usage: tiny.sh OUTDIR"
require_root
require_tools mmdebstrap apt-get sfdisk mke2fs grub-mkimage qemu-img cpio depmod
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/tiny-image.XXXXXX")
root=$work/root
export BUILD_LOG=$out/tiny.log
: >"$BUILD_LOG"
trap 'rm -rf "$work"' EXIT

step "tiny: unpack packages" unpack
step "tiny: root tree" base_tree
step "tiny: programs" programs
step "tiny: accounts" accounts
step "tiny: settings" settings
step "tiny: kernel" kernel
step "tiny: disk" disk
