package miner

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/miner/hypervisor"
)

func TestRealVM(t *testing.T) {
	s := newStage(t, "tiny")
	before := s.state()
	id := s.create()
	s.phase(id, vm.Running)
	s.reach("first SSH over the mesh")
	if s.chain.Proven(id) == 0 {
		t.Error("it runs without a proof")
	}
	s.run("id", "uid=1000(hippius)")
	s.run("sudo id -u", "0")
	s.run("hostname", "web-1")
	s.run("sudo sh -c 'echo kept >/root/file; sync'", "")
	proofs := s.chain.Proven(id)
	s.until("further proofs", 20*time.Second, func() bool { return s.chain.Proven(id) >= proofs+2 })

	// A restart of the agent is nothing to the VM.
	pid := s.inspect(id).PID
	s.stop()
	s.startAgent()
	proofs = s.chain.Proven(id)
	s.until("proofs after a restart of the agent", 20*time.Second, func() bool { return s.chain.Proven(id) > proofs })
	if got := s.inspect(id).PID; got != pid {
		t.Errorf("process %d became %d", pid, got)
	}

	// The disk grows under it, and the agent inside lets the filesystem follow.
	testkit.Check(t, s.chain.Resize(id, size(5), false))
	s.until("a larger disk in effect", time.Minute, func() bool { return s.chain.Get(id).Resize == nil })
	s.run("cat /sys/class/block/vda/size", "10485760")
	s.until("the root follows", time.Minute, func() bool {
		out, err := s.ssh("df -m / | awk 'END { print $2 }'")
		mib, bad := strconv.Atoi(strings.TrimSpace(out))
		return err == nil && bad == nil && mib > 4800
	})
	if got := s.inspect(id).PID; got != pid {
		t.Errorf("process %d became %d", pid, got)
	}

	s.order(id, vm.Reboot)
	s.until("rebooted", 2*time.Minute, func() bool {
		return s.chain.Get(id).Status.ObservedRebootSeq == 1 && s.chain.Phase(id) == vm.Running
	})
	s.reach("SSH after the reboot")

	s.order(id, vm.Stop)
	s.phase(id, vm.Stopped)
	if info := s.inspect(id); info.StopReason != hypervisor.StopGuest {
		t.Errorf("stopped by %s, want a clean shutdown", info.StopReason)
	}
	if seeds, err := s.seeds.List(); err != nil || len(seeds) != 0 {
		t.Errorf("a stopped VM keeps its seed: %v, %v", seeds, err)
	}
	s.order(id, vm.Start)
	s.phase(id, vm.Running)
	s.reach("SSH after stop and start")
	s.run("sudo cat /root/file", "kept")

	// The process dies: it is started again, and the chain is told.
	testkit.Check(t, s.host.Command(t.Context(), "kill", "-KILL", strconv.Itoa(s.inspect(id).PID)).Run())
	s.until("told of the death", 30*time.Second, func() bool { return s.chain.Saw(id, "provisioning "+vm.ReasonHostProcessDied) })
	s.phase(id, vm.Running)
	s.reach("SSH after the death of the process")

	// The guest shuts itself down: that is a request.
	if _, err := s.ssh("sudo sh -c 'sleep 1; kill -USR2 1' >/dev/null 2>&1 &"); err != nil {
		t.Error(err)
	}
	s.phase(id, vm.Stopped)
	if r := s.chain.Get(id).Status.Reason; r != vm.ReasonGuestShutdown {
		t.Errorf("reason %q, want %q", r, vm.ReasonGuestShutdown)
	}

	s.order(id, vm.Terminate)
	s.phase(id, vm.Terminated)
	if after := strip(s.state()); after != strip(before) {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// strip takes out what differs without anything being left: numbers of
// interfaces, counters, and the empty table that waits for the next tap.
func strip(state string) string {
	state = strings.ReplaceAll(state, "table netdev hippius_tr {\n}\n", "")
	lines := strings.Split(state, "\n")
	for i, l := range lines {
		if n, rest, ok := strings.Cut(l, ": "); ok {
			if _, err := strconv.Atoi(n); err == nil {
				l = rest
			}
		}
		if head, tail, ok := strings.Cut(l, "packets "); ok {
			_, tail, _ = strings.Cut(tail, "bytes ")
			_, tail, _ = strings.Cut(tail, " ")
			l = head + tail
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}
