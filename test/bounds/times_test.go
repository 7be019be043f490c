package bounds

import (
	"testing"
	"time"

	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/guestchannel"
	"github.com/hippius/compute/miner/report"
	"github.com/hippius/compute/sentinel/keeper"
	"github.com/hippius/compute/tenant"
)

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// The intervals of miners, tenants and keepers fit to the shipped parameters, in seconds where nothing else is said.
func TestTimes(t *testing.T) {
	compute, market, registry := computetypes.DefaultParams(), markettypes.DefaultParams(), registrytypes.DefaultParams()
	settings, limits := miner.Default().Timing, keeper.DefaultLimits()
	gap, lag := int(compute.MaxProofGapSeconds), int(market.SettleLagSeconds)
	pace := seconds(report.FreeEvery)
	check(t, []pair{
		{"the age of a proof that is sent", seconds(report.MaxProofAge), int(compute.ProofMaxAgeSeconds)},
		{"two proofs as far apart as a miner's settings allow", seconds(miner.MaxReportEvery + miner.MaxProofEvery), gap},
		{"two reports as far apart as a miner's settings and its pace allow", seconds(miner.MaxReportEvery) + pace, gap},
		{"reports more than VMs in a message", report.Spare, int(compute.ReportRules().Spare)},
		{"the time between reports that are free", int(compute.ReportSeconds), pace},
		{"reports at once that are free", report.FreeBurst, int(compute.ReportBurst)},
		{"the time between empty reports that are free", int(compute.EmptyReportSeconds), seconds(settings.ReportEvery)},
		{"signs of life as far apart as a miner's settings and its pace allow", seconds(miner.MaxReportEvery) + pace, int(registry.SilenceSeconds)},
		{"seeing an assigned VM and reporting it", seconds(miner.MaxPoll) + pace, int(compute.ProvisionTimeoutSeconds)},
		{"a boot, at a miner", seconds(settings.BootTimeout), int(compute.BootTimeout(1))},
		{"a guest that ran, by its host's word, before a miner gives it up", int(compute.SilenceSeconds) + gap, seconds(settings.BootTimeout)},
		{"a boot, at a miner, in what is charged on its word", seconds(settings.BootTimeout), int(compute.SilenceSeconds) + 2*gap},
		{"secrets that are waited for, at a miner", seconds(agent.SecretsGiveUp), int(compute.SilenceSeconds)},
		{"the reports of a silent guest", int(compute.SilenceReports) * seconds(settings.ReportEvery), int(compute.SilenceSeconds)},
		{"reports while a guest is not silent yet", gap, int(compute.SilenceSeconds)},
		{"a host that is silent before one that is gone", int(registry.SilenceSeconds), int(compute.HostGoneSeconds)},

		{"a proof as old as a miner's settings and its pace make it, when it is sent", seconds(miner.MaxProofEvery) + pace, seconds(report.MaxProofAge)},
		{"a mesh message that is stuck, and the next proof after it, in the gap of proofs", seconds(guestchannel.MaxStuck + miner.MaxProofEvery), gap},
		{"a guest's shutdown as long as a miner's settings allow, seen and reported, before the chain lets go of its VM", seconds(miner.MaxPoll+miner.MaxStopTimeout+miner.MaxReportEvery) + pace, int(compute.ReleaseSeconds)},
		{"a guest's shutdown, at a miner, before its host counts as gone", seconds(miner.MaxStopTimeout), int(compute.HostGoneSeconds)},
		{"the time after which a host is gone, before the tombstones of what it held are", int(compute.HostGoneSeconds), computekeeper.PruneSeconds},

		{"the gap that a proof covers, before what is settled", gap, lag},
		{"the time it takes to suspect a host, before what is settled", int(registry.SilenceSeconds), lag},
		{"the lag of settlements", lag, int(market.SettleIntervalSeconds)},
		{"the first notice before the hold-back is spent", credit.FirstNotice, int(market.HoldbackSeconds)},
		{"the last notice", credit.LastNotice, credit.FirstNotice},

		{"the time that a former committee takes deals, at keepers", int(registry.EpochGraceSeconds), seconds(limits.PendingFor)},
		{"the time to order a VM that a keeper's receipt leaves, of that it keeps a deal", seconds(limits.OrderWithin), seconds(limits.PendingFor)},
		{"the age at which an account's deal gives way to its next one, of that time to order", seconds(limits.YieldAfter), seconds(limits.OrderWithin)},
		{"the time that a committee lasts and its keepers keep a deal", int(registry.EpochSeconds), seconds(limits.PendingFor)},
		{"a keeper's look at a VM before its tombstone is gone", seconds(limits.Recheck), computekeeper.PruneSeconds},
		{"a tenant's grant", seconds(tenant.GrantLife), seconds(grant.MaxLife)},
		{"miners that a class looks at in a visit, in a block's work", computekeeper.MaxWalk * computekeeper.MaxWindows, int(compute.MaxCandidatesPerBlock / 2)},
		{"candidates of one assignment in a window", int(compute.MaxCandidates), computekeeper.MaxWalk},
	})
}
