#!/bin/sh
# Puts hippius-guest in place and starts it. The guest runs this from the agent's
# CD at each start of the VM, so it must be quick, repeatable and must not wait.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
agent=$here/hippius-guest
target=/usr/local/sbin/hippius-guest
unit=/etc/systemd/system/hippius-guest.service

# Without systemd: from the CD, started again when it ends.
if [ ! -d /run/systemd/system ]; then
	pidfile=/run/hippius/guest.pid
	mkdir -p /run/hippius
	if [ -s "$pidfile" ] && kill -0 "$(cat "$pidfile")" 2>/dev/null; then
		exit 0
	fi
	out=/dev/null
	[ -c /dev/console ] && out=/dev/console
	setsid sh -c 'echo $$ >"$1"; while :; do "$2" run; sleep 2; done' sh "$pidfile" "$agent" \
		</dev/null >"$out" 2>&1 &
	exit 0
fi

unit_text() {
	cat <<-'END'
		[Unit]
		Description=Hippius guest agent
		DefaultDependencies=no
		Wants=local-fs.target
		After=systemd-remount-fs.service local-fs.target
		Conflicts=shutdown.target
		Before=shutdown.target
		StartLimitIntervalSec=0

		[Service]
		ExecStart=/usr/local/sbin/hippius-guest run
		Restart=always
		RestartSec=2
		OOMScoreAdjust=-900
		StandardOutput=journal+console
		StandardError=journal+console

		[Install]
		WantedBy=multi-user.target
	END
}

# Copied, not run from the CD: SELinux allows no service to run what lies there.
changed=
if ! cmp -s "$agent" "$target"; then
	mkdir -p "$(dirname "$target")"
	cp "$agent" "$target.new"
	chmod 0755 "$target.new"
	mv -f "$target.new" "$target"
	changed=1
fi
if [ "$(cat "$unit" 2>/dev/null || true)" != "$(unit_text)" ]; then
	unit_text >"$unit.new"
	chmod 0644 "$unit.new"
	mv -f "$unit.new" "$unit"
	changed=1
fi
if [ -n "$changed" ]; then
	if command -v restorecon >/dev/null 2>&1; then
		restorecon "$target" "$unit" || true
	fi
	systemctl daemon-reload
	systemctl --quiet --no-reload enable hippius-guest.service
	systemctl --no-block restart hippius-guest.service
else
	systemctl --no-block start hippius-guest.service
fi
