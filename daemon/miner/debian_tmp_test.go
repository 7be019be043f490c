package miner

import (
	"testing"
	"time"

	corevm "github.com/hippius/compute/core/vm"
)

func TestTmpDebian(t *testing.T) {
	s := newStage(t, "debian-12")
	id := s.create()
	s.phase(id, corevm.Running, 10*time.Minute)
	s.reach("first SSH over the mesh", 5*time.Minute)
	for _, c := range []string{"uname -a", "cloud-init status --wait --long", "id", "ls -l /var/lib/marker-app /var/lib/marker-user", "systemctl status hippius-guest --no-pager | head -8", "sudo sshd -T | grep -iE 'hostkey|hostcert|passwordauth|permitroot'", "ip -br a", "cat /etc/ssh/sshd_config.d/*", "sudo journalctl -u hippius-guest --no-pager | tail -20", "systemd-analyze", "systemd-analyze blame | head -8"} {
		out, err := s.ssh(c)
		t.Logf("$ %s\n%s %v", c, out, err)
	}
	s.order(id, corevm.Stop)
	s.phase(id, corevm.Stopped, 3*time.Minute)
	s.order(id, corevm.Start)
	s.phase(id, corevm.Running, 10*time.Minute)
	s.reach("SSH after start", 5*time.Minute)
	s.order(id, corevm.Terminate)
	s.phase(id, corevm.Terminated, time.Minute)
}
