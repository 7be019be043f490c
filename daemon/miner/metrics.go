package miner

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/observe"
	"github.com/hippius/compute/miner/agent"
)

// hypervisorWait is how long a reader of the metrics waits for libvirtd.
const hypervisorWait = 2 * time.Second

// metrics registers what the operator is shown of the agent and the host.
func (m *miner) metrics() {
	o := m.observer
	o.Gauges("hippius_miner_vms", "VMs held, by the phase the chain last told.", "phase", m.phases)
	o.Gauge("hippius_miner_vms_released", "VMs given back of which something is still being removed.", func() float64 { return float64(m.count().Released) })
	o.Gauge("hippius_miner_vms_failing", "VMs whose last step failed and will be tried again.", func() float64 { return float64(m.count().Steps.Failing) })
	o.Gauge("hippius_miner_guests", "VMs whose guest is listened to.", func() float64 { return float64(len(m.agent.Guests())) })
	o.Gauge("hippius_miner_guests_proven", "VMs whose guest proved itself in the last minute.", m.provenLately)
	o.Counters("hippius_miner_steps_total", "Steps of the reconciler, by result.", "result", func() map[string]float64 {
		s := m.count().Steps
		return map[string]float64{"ok": float64(s.Steps - s.Errors), "failed": float64(s.Errors)}
	})
	o.Counters("hippius_miner_reports_total", "Reports on VMs that reached the chain, by what it said.", "result", func() map[string]float64 {
		f := m.count()
		return map[string]float64{"taken": float64(f.Reports.Taken), "refused": float64(f.Reports.Refused)}
	})
	o.Counter("hippius_miner_report_messages_failed_total", "Messages with reports that did not get into a block.",
		func() float64 { return float64(m.count().Reports.Failed) })
	o.Gauge("hippius_miner_followed_timestamp_seconds", "When the chain was last heard; 0 for not yet.",
		func() float64 { return observe.Timestamp(m.count().Followed) })
	o.Gauge("hippius_miner_reported_timestamp_seconds", "When the chain last took a report; 0 for not yet.",
		func() float64 { return observe.Timestamp(m.count().Reports.Reported) })
	o.Gauge("hippius_miner_registered", "1 when the chain has what was measured and set.", func() float64 { return observe.Flag(m.isRegistered() == nil) })
	o.Gauges("hippius_miner_status", "What the chain says of this miner: 1 for its status, 0 for the others. All are 0 before it is heard.", "status", m.statuses)
	o.Gauge("hippius_miner_hypervisor_up", "1 when libvirtd answers.", m.hypervisorUp)
	o.Counter("hippius_miner_network_repairs_total", "Times that taps or their rules differed from the configuration and were repaired.",
		func() float64 { return float64(m.networkStats().Repairs) })
	o.Gauge("hippius_miner_network_verified_timestamp_seconds", "When all taps and their rules were last verified or repaired; 0 for not yet.",
		func() float64 { return observe.Timestamp(m.networkStats().Verified) })
	o.Gauge("hippius_miner_network_blocked_chains", "Chains of other programs that drop what VMs send or are sent.",
		func() float64 { return float64(m.networkStats().Blocked) })
	o.Gauge("hippius_miner_disk_free_bytes", "What is free where disks and images lie.", func() float64 { return m.disk(func(f *unix.Statfs_t) uint64 { return f.Bavail }) })
	o.Gauge("hippius_miner_disk_size_bytes", "How large the filesystem is where disks and images lie.", func() float64 { return m.disk(func(f *unix.Statfs_t) uint64 { return f.Blocks }) })
	o.Counters("hippius_chain_calls_total", "Calls of the chain, by whether some node answered.", "result", observe.Answered(m.chain.Calls))
}

// count reads the agent's metrics; what cannot be read counts as nothing.
func (m *miner) count() agent.Metrics {
	f, err := m.agent.Metrics()
	if err != nil {
		m.log.Error("count VMs", "error", err)
	}
	return f
}

func (m *miner) phases() map[string]float64 {
	counted := m.count().Phases
	out := map[string]float64{}
	for _, p := range vm.Phases() {
		out[p.String()] = float64(counted[p])
	}
	return out
}

func (m *miner) provenLately() float64 {
	n := 0
	for _, g := range m.agent.Guests() {
		if time.Since(g.ProvenAt) < time.Minute {
			n++
		}
	}
	return float64(n)
}

func (m *miner) hypervisorUp() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), hypervisorWait)
	defer cancel()
	_, err := m.driver.Host(ctx)
	return observe.Flag(err == nil)
}

// disk gives a count of blocks of the data folder's filesystem, in bytes.
func (m *miner) disk(blocks func(*unix.Statfs_t) uint64) float64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(m.set.Data, &fs); err != nil {
		m.log.Error("measure disk", "error", err)
		return 0
	}
	return float64(blocks(&fs)) * float64(fs.Bsize)
}
