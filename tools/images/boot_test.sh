#!/usr/bin/env bash
# Boots an image under plain QEMU with the sample seed and checks what the network
# relies on: SSH by key only, hostname, the agent's hook at each start, reboot, the
# ACPI button, files that survive, growth, and a move to another network.
# Needs no root. Prints seconds; exits 1 at the first thing that is wrong.
#
#   boot_test.sh IMAGE [APP]    APP: a recipe in apps/ whose package has its name;
#                               the guest has no way out, so it must be on the image
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
. "$here/lib/common.sh"

: "${BOOT_DEADLINE:=300}" # seconds for each start
: "${MEMORY_MIB:=1024}"

[ $# -eq 1 ] || [ $# -eq 2 ] || die "usage: boot_test.sh IMAGE [APP]"
app=${2:-}
[ -z "$app" ] || [ -r "$here/apps/$app.yaml" ] || die "no recipe $here/apps/$app.yaml"
image=$(readlink -f "$1")
[ -r "$image" ] || die "no image $1"
require_tools qemu-system-x86_64 qemu-img xorriso ssh ssh-keygen

work=$(mktemp -d)
qemu=
cleanup() {
	[ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null || true
	[ -z "$qemu" ] || wait "$qemu" 2>/dev/null || true
	if [ -n "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap cleanup EXIT

fail() {
	printf 'FAIL %s\n' "$*" >&2
	tail -n 40 "$work/serial" >&2 || true
	exit 1
}
ok() { printf 'ok   %s\n' "$*"; }

now() { date +%s%N; }
since() { awk -v ns="$(($(now) - $1))" 'BEGIN { printf "%.1f s", ns / 1e9 }'; }

# make_discs MAC ADDRESS GATEWAY: the seed, and the disc the agent comes on.
make_discs() {
	mkdir -p "$work/seed" "$work/agent"
	cp "$here"/testdata/seed/{meta-data,user-data,network-config} "$work/seed/"
	sed -i "s|\"ssh-ed25519 .* sample\"|\"$(cat "$work/key.pub")\"|" "$work/seed/user-data"
	sed -i "s|52:54:00:12:34:56|$1|; s|10\.0\.2\.14/30|$2/30|; s|gateway4: .*|gateway4: $3|" "$work/seed/network-config"
	[ -z "$app" ] || cat "$here/apps/$app.yaml" >>"$work/seed/user-data"
	cp "$here/testdata/install.sh" "$work/agent/install.sh"
	xorriso -as mkisofs -quiet -V CIDATA -J -r -o "$work/seed.iso" "$work/seed" 2>/dev/null
	xorriso -as mkisofs -quiet -V HIPPIUS -J -r -o "$work/agent.iso" "$work/agent" 2>/dev/null
}

# A free port of the loopback, most likely.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 30000))
		(: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
	done
}

# start MAC ADDRESS GATEWAY: starts QEMU on the overlay. The VM is the one
# that the miner's libvirt domain describes; see README.md.
start() {
	make_discs "$@"
	port=$(free_port)
	rm -f "$work/monitor"
	mkfifo "$work/monitor"
	started=$(now)
	qemu-system-x86_64 -accel tcg,tb-size=128 -cpu max -machine q35 -m "$MEMORY_MIB" -smp 1 \
		-display none -nodefaults -no-user-config -serial "file:$work/serial" -monitor stdio \
		-drive "if=none,id=root,file=$work/disk,format=qcow2" -device virtio-blk-pci,drive=root,bootindex=1 \
		-drive "if=none,id=seed,file=$work/seed.iso,format=raw,readonly=on" -device virtio-blk-pci,drive=seed \
		-drive "if=none,id=agent,file=$work/agent.iso,format=raw,readonly=on" -device virtio-blk-pci,drive=agent \
		-netdev "user,id=net,net=10.0.2.0/24,host=$3,dns=10.0.2.3,dhcpstart=$2,restrict=on,hostfwd=tcp:127.0.0.1:$port-$2:22" \
		-device "virtio-net-pci,netdev=net,mac=$1,romfile=" \
		-device virtio-serial-pci -chardev "file,id=port,path=$work/port" -device virtserialport,chardev=port,name=org.hippius.guest.0 \
		-device virtio-rng-pci <"$work/monitor" >"$work/monitor.out" 2>&1 &
	qemu=$!
	exec 8>"$work/monitor"
}

# guest CMD...: runs a command in the guest.
guest() {
	ssh -p "$port" -i "$work/key" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=5 -o LogLevel=ERROR \
		-o "UserKnownHostsFile=$work/known_hosts" -o StrictHostKeyChecking=accept-new -o HostKeyAlias=guest \
		hippius@127.0.0.1 "$@"
}

# await WHAT: until SSH answers with a boot id other than the last one's.
await() {
	local id
	while :; do
		kill -0 "$qemu" 2>/dev/null || fail "$1: QEMU ended: $(tail -n 3 "$work/monitor.out")"
		[ $((($(now) - started) / 1000000000)) -lt "$BOOT_DEADLINE" ] || fail "$1: no SSH in $BOOT_DEADLINE s"
		id=$(timeout 10 ssh -p "$port" -i "$work/key" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=2 -o LogLevel=ERROR \
			-o "UserKnownHostsFile=$work/known_hosts" -o StrictHostKeyChecking=accept-new -o HostKeyAlias=guest \
			hippius@127.0.0.1 cat /proc/sys/kernel/random/boot_id 2>/dev/null) || id=
		[ -z "$id" ] || [ "$id" = "${boot_id:-}" ] || break
		sleep 0.1
	done
	boot_id=$id
	ok "$1: SSH after $(since "$started")"
}

# expect WHAT WANT CMD...: the guest's answer must be WANT.
expect() {
	local what=$1 want=$2 got
	shift 2
	got=$(guest "$@") || true
	[ "$got" = "$want" ] || fail "$what: got '$got', want '$want'"
	ok "$what"
}

cloud_init_done() {
	[ "$os" = debian ] || return 0
	local status
	status=$(guest cloud-init status --wait | tail -n 1) || true
	[ "$status" = "status: done" ] || fail "cloud-init: $status: $(guest sudo cat /run/cloud-init/result.json)"
	ok "cloud-init done after $(since "$started")"
}

key_only() {
	local refused root
	refused=$(ssh -p "$port" -o BatchMode=yes -o PubkeyAuthentication=no -o "UserKnownHostsFile=$work/known_hosts" \
		-o HostKeyAlias=guest hippius@127.0.0.1 true 2>&1) && fail "login without a key"
	[[ $refused == *"(publickey)"* ]] || fail "more than keys offered: $refused"
	ssh -p "$port" -i "$work/other" -o IdentitiesOnly=yes -o BatchMode=yes -o "UserKnownHostsFile=$work/known_hosts" \
		-o HostKeyAlias=guest hippius@127.0.0.1 true 2>/dev/null && fail "login with a stranger's key"
	# A distribution may let root in only to be told who may.
	root=$(ssh -p "$port" -i "$work/key" -o IdentitiesOnly=yes -o BatchMode=yes -o "UserKnownHostsFile=$work/known_hosts" \
		-o HostKeyAlias=guest root@127.0.0.1 id -u 2>/dev/null) || true
	[ "$root" != 0 ] || fail "login as root"
	ok "keys only, not root"
}

# power_off: presses the button until QEMU ends.
power_off() {
	local begin
	begin=$(now)
	echo system_powerdown >&8
	while kill -0 "$qemu" 2>/dev/null; do
		[ $((($(now) - begin) / 1000000000)) -lt 90 ] || fail "the power button did not end the guest"
		sleep 0.2
	done
	wait "$qemu" || fail "QEMU ended with $?"
	qemu=
	exec 8>&-
	ok "ACPI power off in $(since "$begin")"
}

ssh-keygen -q -t ed25519 -N '' -C tester@test -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -C stranger@test -f "$work/other"
size=$(($(qemu-img info "$image" | sed -n 's/^virtual size:.*(\([0-9]*\) bytes)$/\1/p') / 1048576 + 1024))
qemu-img create -q -f qcow2 -F qcow2 -b "$image" "$work/disk" "${size}M"

start 52:54:00:12:34:56 10.0.2.14 10.0.2.13
await "first start"
os=$(guest 'command -v cloud-init >/dev/null && echo debian || echo tiny')
cloud_init_done
[ -z "$app" ] || expect "application $app" installed "dpkg-query -W -f '\${db:Status-Status}' $app"
expect "hostname" web-1 hostname
expect "user" "1000 hippius" 'echo $(id -u) $(id -un)'
expect "root by sudo" 0 sudo -n id -u
key_only
expect "address" 10.0.2.14/30 "ip -4 -o address show dev eth0 | awk '{ print \$4 }'"
expect "tun device" ok 'sudo test -c /dev/net/tun && echo ok'
expect "virtio port" ok 'sudo test -c $(readlink -f /dev/virtio-ports/org.hippius.guest.0) && echo ok'
expect "name server" 10.0.2.13 "if command -v resolvectl >/dev/null; then resolvectl dns eth0 | sed 's/.*: //'; else sed -n 's/^nameserver //p' /etc/resolv.conf; fi"
expect "agent's hook" 1 'sudo wc -l </var/log/agent-starts'
expect "no password" 0 "sudo awk -F: '\$2 !~ /^[!*]/' /etc/shadow | wc -l"
expect "root grew" ok "n=0; while [ \$(df -m / | awk 'END { print \$2 }') -lt $((size - 300)) ] && [ \$n -lt 20 ]; do sleep 1; n=\$((n + 1)); done; [ \$n -lt 20 ] && echo ok"
guest 'echo kept >file && sync'

started=$(now)
guest sudo reboot || true
await "reboot"
expect "file kept" kept cat file
expect "agent's hook again" 2 'sudo wc -l </var/log/agent-starts'
power_off

start 52:54:00:65:43:21 10.0.2.18 10.0.2.17
await "second start, other network"
expect "new address" 10.0.2.18/30 "ip -4 -o address show dev eth0 | awk '{ print \$4 }'"
expect "file still kept" kept cat file
expect "agent's hook once more" 3 'sudo wc -l </var/log/agent-starts'
grep -q 'Linux version' "$work/serial" || fail "no kernel messages on the console"
for ((i = 0; i < 100; i++)); do grep -q 'login:' "$work/serial" && break || sleep 0.5; done
grep -q 'login:' "$work/serial" || fail "no login prompt on the console"
ok "console"
power_off
echo "boot test: ok ($os)"
