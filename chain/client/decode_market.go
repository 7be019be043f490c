package client

import (
	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	rankingv1 "github.com/hippius/compute/api/chain/ranking/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/plan"
)

func decodePrice(d *decoder, p *marketplacev1.PlanPrice) plan.Priced {
	q := p.GetPlan()
	out := plan.Priced{
		Plan: plan.Plan{
			Name: q.GetName(), Order: q.GetOrder(),
			Size: plan.Size{
				VCPUs: q.GetVcpus(), MemoryMiB: q.GetMemoryMib(), DiskGiB: q.GetDiskGib(), IOPS: q.GetIops(),
				DiskBytesPerSecond: q.GetDiskBytesPerSecond(), NetworkBitsPerSecond: q.GetNetworkBitsPerSecond(),
			},
		},
		Rates: decodeRates(d, p.GetRunningUcreditPerHour(), p.GetStoppedUcreditPerHour()),
	}
	d.rule(out.Validate())
	return out
}

func decodeImage(d *decoder, i *marketplacev1.Image) plan.Image {
	out := plan.Image{
		Name: i.GetName(), OS: i.GetOs(), Version: i.GetVersion(), URLs: i.GetUrls(), SHA256: i.GetSha256(), Format: i.GetFormat(),
		SizeBytes: i.GetSizeBytes(), VirtualSizeBytes: i.GetVirtualSizeBytes(), Arch: i.GetArch(), User: i.GetUser(),
	}
	d.rule(out.Validate())
	return out
}

func decodeApp(d *decoder, a *marketplacev1.App) plan.App {
	out := plan.App{Name: a.GetName(), Description: a.GetDescription(), Recipe: a.GetRecipe(), Images: a.GetImages()}
	d.rule(out.Validate())
	return out
}

func decodeQuote(d *decoder, q *marketplacev1.QueryQuoteResponse) plan.Quote {
	return plan.Quote{
		Rates:    decodeRates(d, q.GetRunningUcreditPerHour(), q.GetStoppedUcreditPerHour()),
		Holdback: q.GetHoldbackUcredit(), MinCreate: q.GetMinCreateUcredit(), Missing: q.GetMissingUcredit(),
		RunwaySeconds: q.GetRunwaySeconds(),
	}
}

func decodeMeter(d *decoder, m *marketplacev1.Meter) credit.Meter {
	out := credit.Meter{
		Rate: m.GetRate(), DiskRate: m.GetDiskRate(), Owed: m.GetOwed(), OwedAt: d.time("owed_at", m.GetOwedAt()),
		Carry: m.GetCarry(), Consumed: m.GetConsumed(),
		SettledAt: d.time("settled_at", m.GetSettledAt()), NextDue: d.time("next_due", m.GetNextDue()),
		RanOutAt: d.time("ran_out_at", m.GetRanOutAt()), WarnedAt: d.time("warned_at", m.GetWarnedAt()),
		Notices: m.GetNotices(), NoticedAt: d.time("noticed_at", m.GetNoticedAt()),
	}
	d.rule(out.Check())
	return out
}

func decodeStatement(d *decoder, r *marketplacev1.QueryMeterResponse) credit.Statement {
	return credit.Statement{
		Meter: decodeMeter(d, r.GetMeter()), PerHour: r.GetUcreditPerHour(), Accrued: r.GetAccruedUcredit(), OwedUnits: r.GetOwedUnits(),
		Holdback: r.GetHoldbackUcredit(), Balance: r.GetBalanceUcredit(), RunwaySeconds: r.GetRunwaySeconds(), HasRunway: r.GetHasRunway(),
		BlockTime: d.time("block time", r.GetBlockTime()),
	}
}

func decodeBooks(_ *decoder, t *creditsv1.Totals) credit.Books {
	return credit.Books{
		Bought: t.GetBoughtUcredit(), Consumed: t.GetConsumedUcredit(), Reserve: t.GetReserveUhip(), Buffer: t.GetBufferUhip(),
		Deposited: t.GetDepositedUhip(), Added: t.GetAddedUhip(), Spent: t.GetSpentUhip(), Fees: t.GetFeesUhip(),
		Released: t.GetReleasedUhip(), Miners: t.GetReleasedMinersUhip(), Stakers: t.GetReleasedStakersUhip(),
		Treasury: t.GetReleasedTreasuryUhip(),
	}
}

func decodeBalance(_ *decoder, b *creditsv1.Balance) credit.Balance {
	return credit.Balance{Ucredit: b.GetUcredit(), FeesSincePurchase: b.GetFeesSincePurchase(), Backing: b.GetBackingUhip()}
}

func decodePrices(d *decoder, p *creditsv1.QueryPricesResponse) credit.PriceRange {
	out := credit.PriceRange{Current: p.GetUhipPerCredit(), Lowest: p.GetLowestUhipPerCredit(), Highest: p.GetHighestUhipPerCredit()}
	if out.Lowest == 0 || out.Lowest > out.Current || out.Current > out.Highest {
		d.fail("a credit costs %d uhip, the least of 7 days is %d and the most %d", out.Current, out.Lowest, out.Highest)
	}
	return out
}

func decodeEarnings(_ *decoder, e *rankingv1.Earnings) credit.Earnings {
	return credit.Earnings{AccruedUhip: e.GetAccruedUhip(), ClaimedUhip: e.GetClaimedUhip(), ServedUcredit: e.GetServedUcredit()}
}

func decodeParams(d *decoder, c *creditsv1.Params, m *marketplacev1.Params, r *registryv1.Params, vms *computev1.Params) params.Params {
	out := params.Params{
		UhipPerCredit:    c.GetUhipPerCredit(),
		Fees:             credit.Fees{Base: c.GetFeeUcredit(), PerMillionGas: c.GetFeePerMillionGasUcredit(), PerKiB: c.GetFeePerKibUcredit()},
		Prices:           plan.Prices{VCPU: m.GetVcpuHourUcredit(), MemoryGiB: m.GetMemoryGibHourUcredit(), DiskGiB: m.GetDiskGibHourUcredit()},
		MinCreateUcredit: m.GetMinCreateUcredit(), MinBondUhip: r.GetMinBondUhip(), CPUOvercommit: r.GetCpuOvercommit(),
		Bonds: node.BondRates{
			Core: r.GetBondPerCoreUhip(), MemoryGiB: r.GetBondPerMemoryGibUhip(), DiskGiB: r.GetBondPerDiskGibUhip(),
		},
		Newcomers:          node.NewcomerRules{VMs: r.GetNewcomerVms(), Proven: uint64(r.GetNewcomerProvenVms())},
		SilenceSeconds:     d.seconds("silence_seconds", r.GetSilenceSeconds()),
		MaxProofGapSeconds: d.seconds("max_proof_gap_seconds", vms.GetMaxProofGapSeconds()),
	}
	d.rule(out.Prices.Validate())
	if out.UhipPerCredit == 0 {
		d.fail("a credit costs no uhip")
	}
	if max(out.Fees.Base, out.Fees.PerMillionGas, out.Fees.PerKiB) > credit.PerCredit {
		d.fail("fees of more than a credit: %+v", out.Fees)
	}
	if b := out.Bonds; max(b.Core, b.MemoryGiB, b.DiskGiB) > node.MaxBondRate {
		d.fail("bonds of %+v uhip; at most %d", b, uint64(node.MaxBondRate))
	}
	if out.CPUOvercommit > node.MaxOvercommit {
		d.fail("an overcommit of %d %%; at most %d", out.CPUOvercommit, node.MaxOvercommit)
	}
	return out
}
