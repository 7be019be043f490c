#!/bin/bash
# Run by TestPackages in mount and network namespaces of its own: packages.sh DIR, with v1.0.0 and v1.1.0 in it.
set -euo pipefail
dir=$1
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
fail() {
	echo "FAIL: $*"
	exit 1
}

# A host: this one's files, with all changes in memory.
mount --make-rprivate /
mkdir -p "$dir/m"
mount -t tmpfs -o mode=755 tmpfs "$dir/m"
mkdir "$dir/m/up" "$dir/m/work" "$dir/m/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/m/up,workdir=$dir/m/work" overlay "$dir/m/root"
r=$dir/m/root
mount -t tmpfs -o mode=755 tmpfs "$r/run"
mount --bind /proc "$r/proc"
mount --bind /dev "$r/dev"
mount -t tmpfs -o mode=1777 tmpfs "$r/tmp"
mkdir "$r/tmp/1" "$r/tmp/2" "$r/run/systemd"
mkdir "$r/run/systemd/system"
mount --bind "$dir/v1.0.0" "$r/tmp/1"
mount --bind "$dir/v1.1.0" "$r/tmp/2"
# This host may be one that the tests are developed on: as if never installed.
chroot "$r" dpkg --purge hippius hippius-miner hippius-validator hippius-gateway >/dev/null 2>&1 || true
rm -rf "$r"/etc/hippius "$r"/var/lib/hippius* "$r/var/lib/hippiusd"

# systemctl enables units as ever, and only notes what else it is asked. All units run, so try-restart and stop count.
mv "$r/usr/bin/systemctl" "$r/usr/bin/systemctl.real"
cat >"$r/usr/bin/systemctl" <<'S'
#!/bin/sh
echo "$*" >>/run/systemctl.log
case " $* " in
*" preset "* | *" enable "* | *" is-enabled "*) SYSTEMD_OFFLINE=1 exec systemctl.real "$@" ;;
esac
S
chmod 0755 "$r/usr/bin/systemctl"
# Services may be controlled here.
printf '#!/bin/sh\nexit 0\n' >"$r/usr/sbin/policy-rc.d"
chmod 0755 "$r/usr/sbin/policy-rc.d"
asked() { grep -qE -- "$1" "$r/run/systemctl.log"; }
packages="hippius hippius-miner hippius-validator hippius-gateway"

before=$(cd "$r" && find etc usr lib var -xdev -type f \( -name '*hippius*' -o -path '*hippius*' \) | sort)

echo "== install"
: >"$r/run/systemctl.log"
# What a development host may lack is no matter here: the units and files are.
chroot "$r" sh -c 'dpkg --force-depends -i /tmp/1/*.deb' >"$r/tmp/log" 2>&1 || { cat "$r/tmp/log"; fail install; }
for p in $packages; do
	chroot "$r" dpkg-query -W -f '${Status} ${Version}\n' "$p" | grep -qx 'install ok installed 1.0.0' || fail "$p is not installed"
	chroot "$r" dpkg --verify "$p" | grep . && fail "$p: files are not as packed"
done
for u in hippiusd hippius-sentinel hippius-gateway; do
	chroot "$r" getent passwd "$u" >/dev/null || fail "no user $u"
done
[ "$(stat -c '%U %a' "$r/var/lib/hippiusd")" = "UNKNOWN 700" ] || [ "$(chroot "$r" stat -c '%U %a' /var/lib/hippiusd)" = "hippiusd 700" ] || fail "hippiusd's folder"
for u in hippius-miner hippiusd hippius-sentinel hippius-gateway; do
	[ -L "$r/etc/systemd/system/multi-user.target.wants/$u.service" ] || fail "$u is not enabled"
	asked "start $u.service" || fail "$u was not started"
done
for b in hippius hippiusd hippius-sentinel hippius-miner hippius-gateway; do
	chroot "$r" /usr/bin/$b --help >/dev/null || fail "$b does not run"
done
chroot "$r" hippius-miner doctor -c /usr/share/doc/hippius-miner/examples/miner.yaml -o json >"$r/tmp/doctor" 2>/dev/null && fail "doctor finds nothing missing"
grep -q '"check": "settings",' "$r/tmp/doctor" && grep -A1 '"check": "settings"' "$r/tmp/doctor" | grep -q '"level": "ok"' || fail "the sample settings are not valid"
grep -A1 '"check": "guest agent"' "$r/tmp/doctor" | grep -q '"level": "ok"' || fail "the guest agent is not where the settings say"

echo "== configure, and a VM runs"
mkdir -p "$r/var/lib/hippius-miner/vms/disks/0123" "$r/run/hippius-miner"
echo disk >"$r/var/lib/hippius-miner/vms/disks/0123/root.qcow2"
echo key >"$r/var/lib/hippius-miner/identity.pem"
echo seed >"$r/run/hippius-miner/seed"
echo "name: mine" >"$r/etc/hippius/miner.yaml"
echo 'ARGS="--log-format json"' >"$r/etc/default/hippius-miner"
echo key >"$r/var/lib/hippiusd/key"
chroot "$r" sleep 10000 &
vm=$!
unharmed() {
	kill -0 "$vm" 2>/dev/null || fail "$1: the VM's process is gone"
	[ "$(cat "$r/var/lib/hippius-miner/vms/disks/0123/root.qcow2")" = disk ] || fail "$1: the VM's disk is gone"
	[ "$(cat "$r/run/hippius-miner/seed")" = seed ] || fail "$1: the VM's seed is gone"
	[ -s "$r/var/lib/hippius-miner/identity.pem" ] || fail "$1: the miner's key is gone"
}

echo "== upgrade, twice"
for _ in 1 2; do
	: >"$r/run/systemctl.log"
	chroot "$r" sh -c 'dpkg --force-depends -i /tmp/2/*.deb' >"$r/tmp/log" 2>&1 || { cat "$r/tmp/log"; fail upgrade; }
	for u in hippius-miner hippiusd hippius-sentinel hippius-gateway; do
		asked "try-restart $u.service" || fail "$u was not restarted"
	done
	asked '(^| )stop ' && fail "something was stopped for good"
	unharmed upgrade
	grep -q json "$r/etc/default/hippius-miner" || fail "the operator's arguments are gone"
	grep -q mine "$r/etc/hippius/miner.yaml" || fail "the operator's settings are gone"
done

echo "== remove"
: >"$r/run/systemctl.log"
chroot "$r" dpkg --remove $packages >"$r/tmp/log" 2>&1 || { cat "$r/tmp/log"; fail remove; }
for u in hippius-miner hippiusd hippius-sentinel hippius-gateway; do
	asked "stop $u.service" || fail "$u was not stopped"
done
unharmed remove
[ -e "$r/usr/bin/hippius-miner" ] && fail "the program is still there"
grep -q mine "$r/etc/hippius/miner.yaml" || fail "the operator's settings are gone"

echo "== purge"
chroot "$r" dpkg --purge $packages >"$r/tmp/log" 2>&1 || { cat "$r/tmp/log"; fail purge; }
grep -q "holds VMs of tenants" "$r/tmp/log" || fail "purge does not say what stays"
grep -q "holds keys" "$r/tmp/log" || fail "purge does not say that keys stay"
unharmed purge
[ -s "$r/var/lib/hippiusd/key" ] || fail "the validator's key is gone"
[ -e "$r/etc/default/hippius-miner" ] && fail "a conffile is still there"
ls "$r"/etc/systemd/system/multi-user.target.wants/hippius* 2>/dev/null && fail "a unit is still enabled"

echo "== nothing else is left"
rm -rf "$r/var/lib/hippius-miner/vms/disks/0123"
chroot "$r" sh -c 'dpkg --force-depends -i /tmp/2/hippius-miner_*.deb' >/dev/null 2>&1
rm -f "$r/etc/hippius/miner.yaml"
chroot "$r" dpkg --purge hippius-miner >"$r/tmp/log" 2>&1 || { cat "$r/tmp/log"; fail "second purge"; }
[ -e "$r/var/lib/hippius-miner" ] && fail "the data of a miner without VMs stays"
rm -rf "$r/var/lib/hippiusd"
after=$(cd "$r" && find etc usr lib var -xdev -type f \( -name '*hippius*' -o -path '*hippius*' \) | sort)
[ "$before" = "$after" ] || { diff <(echo "$before") <(echo "$after"); fail "left behind"; }
kill "$vm"
echo "packages: ok"
