# Turns a directory into a bootable disk without mounting anything. Sourced after
# common.sh.
#
# Layout: GPT · 1 MiB BIOS boot partition holding GRUB's core · root (ext4) to the
# end. It starts under SeaBIOS, so a host needs neither OVMF nor a variable store.

readonly GRUB_DIR=/usr/lib/grub/i386-pc
readonly SECTOR=512
readonly BIOS_START=2048 # sectors
readonly ROOT_START=4096 # sectors

# write_gpt DISK MIB: a sparse disk with the two partitions. The identifiers are
# fixed: overlays of one image share them anyway.
write_gpt() {
	local disk=$1 mib=$2
	# The last MiB stays free for GPT's copy.
	local size=$((mib * 2048 - ROOT_START - 2048))
	rm -f "$disk"
	truncate -s "${mib}M" "$disk"
	sfdisk --quiet --no-reread --no-tell-kernel "$disk" <<-TABLE
		label: gpt
		label-id: 6D1F5A0C-3E0B-4F57-9C1A-8B0D5C7E2A10
		first-lba: 2048
		start=$BIOS_START, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=6D1F5A0C-3E0B-4F57-9C1A-8B0D5C7E2A11, name="bios"
		start=$ROOT_START, size=$size, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=6D1F5A0C-3E0B-4F57-9C1A-8B0D5C7E2A12, name="root"
	TABLE
}

# write_root DISK TREE LABEL UUID: fills the root partition from TREE. The journal
# and inode tables are written here, so that the first boot has no such work.
write_root() {
	local disk=$1 tree=$2 label=$3 uuid=$4 blocks
	blocks=$((($(stat -c %s "$disk") / SECTOR - ROOT_START - 2048) * SECTOR / 4096))
	E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -F -t ext4 -b 4096 -L "$label" -U "$uuid" \
		-E "offset=$((ROOT_START * SECTOR)),hash_seed=$uuid,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0" \
		-d "$tree" "$disk" "$blocks"
}

# write_grub DISK CONFIG MODULE...: builds GRUB's core with CONFIG embedded and
# puts it where grub-bios-setup would, which wants a mounted file system and a
# device and so cannot be used on a file.
write_grub() {
	local disk=$1 config=$2 core boot
	shift 2
	core=$(mktemp)
	boot=$(mktemp)
	grub-mkimage -O i386-pc -p '(hd0,gpt2)/boot/grub' -c "$config" -o "$core" biosdisk part_gpt ext2 "$@"
	[ "$(stat -c %s "$core")" -le $((2047 * SECTOR)) ] || die "GRUB's core does not fit its partition"
	cp "$GRUB_DIR/boot.img" "$boot"
	patch_bytes "$boot" $((0x5c)) "$(le64 $BIOS_START)" # where the core begins
	patch_bytes "$boot" $((0x66)) '\x90\x90'            # a hard disk: trust the BIOS's drive number
	# The core's first sector loads the rest: its block list ends that sector.
	patch_bytes "$core" $((0x1f4)) "$(le64 $((BIOS_START + 1)))"
	# Only the code of the first sector: the rest is the protective partition table.
	dd if="$boot" of="$disk" bs=$((0x1b8)) count=1 conv=notrunc status=none
	dd if="$core" of="$disk" bs=$SECTOR seek=$BIOS_START conv=notrunc status=none
	rm -f "$core" "$boot"
}

# le64 N: N as eight little-endian bytes, in printf's escapes.
le64() {
	local n=$1 i
	for ((i = 0; i < 8; i++)); do
		printf '\\x%02x' $(((n >> (8 * i)) & 255))
	done
}

# patch_bytes FILE OFFSET ESCAPES: overwrites bytes in place.
patch_bytes() {
	printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# to_qcow2 RAW OUT [OPTION...]: moved into place in one step. -c compresses.
to_qcow2() {
	local raw=$1 out=$2
	shift 2
	qemu-img convert -f raw -O qcow2 "$@" -o compat=1.1,cluster_size=65536 "$raw" "$out.tmp"
	mv -f "$out.tmp" "$out"
}
