package client

import (
	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

// Bounds of x/compute.
const (
	maxInstances   = vm.MaxInstances
	maxReceipts    = committee.MaxSeats // one of each member
	maxFingerprint = 64
	// maxCodespace is the length of a module's name.
	maxCodespace = 64
)

func decodeVM(d *decoder, v *computev1.VM) vm.VM {
	out := vm.VM{
		ID: d.id(v.GetId()), Owner: d.address("owner", v.GetOwner()), Nonce: d.bytes("nonce", v.GetNonce(), vm.NonceSize),
		Spec: decodeSpec(d, v.GetSpec()), Generation: v.GetGeneration(), Status: decodeStatus(d, v.GetStatus()),
		Sizing: vm.Sizing{Size: decodeSize(d, v.GetSize()), Rates: decodeRates(d, v.GetRunningRate(), v.GetStoppedRate())},
		Arch:   decodeArch(d, v.GetArch()),

		AuthorizedKeys: all(d, v.GetAuthorizedKeys(), decodeKeyLine), RemovedKeys: all(d, v.GetRemovedKeys(), decodeRemovedKey),
		CreatedAt: d.time("created_at", v.GetCreatedAt()), TerminatedAt: d.time("terminated_at", v.GetTerminatedAt()),
		ChangedHeight: d.height("changed_height", v.GetChangedHeight()),
	}
	d.atMost("instances", len(v.GetInstances()), maxInstances)
	out.Instances = all(d, v.GetInstances(), decodeInstance)
	d.atMost("authorized keys", len(v.GetAuthorizedKeys()), vm.MaxSSHKeys)
	d.atMost("removed keys", len(v.GetRemovedKeys()), vm.MaxSSHKeys)
	if r := v.GetResize(); r != nil {
		if r.GetGeneration() == 0 || r.GetGeneration() > v.GetGeneration() {
			d.fail("a resize of generation %d of %d", r.GetGeneration(), v.GetGeneration())
		}
		out.Resize = &vm.SizeChange{
			Generation: r.GetGeneration(), Size: decodeSize(d, r.GetSize()),
			Rates: decodeRates(d, r.GetRunningRate(), r.GetStoppedRate()), Restart: r.GetRestart(),
		}
	}
	if id, err := vm.NewID(out.Owner, out.Nonce); d.err == nil && (err != nil || id != out.ID) {
		d.fail("VM %s is not named after its owner and nonce", out.ID)
	}
	return out
}

func decodeSpec(d *decoder, s *computev1.VMSpec) vm.Spec {
	out := vm.Spec{
		Name: s.GetName(), Plan: s.GetPlan(), Image: s.GetImage(), Apps: s.GetApps(), UserDataHash: s.GetUserDataHash(),
		SSHKeys: s.GetSshKeys(), MeshAddress: s.GetMeshAddress(), HostCA: s.GetHostCa(),
		Agent: enum(d, "agent mode", s.GetAgent(), vm.AgentNone), OnSilence: decodeOnSilence(d, s.GetOnSilence()), Region: s.GetRegion(), SpreadGroup: s.GetSpreadGroup(),
		Miners: s.GetMiners(), Priority: s.GetPriority(), RebootSeq: s.GetRebootSeq(),
	}
	switch s.GetPower() {
	case computev1.Power_POWER_ON:
		out.On = true
	case computev1.Power_POWER_OFF:
	case computev1.Power_POWER_UNSPECIFIED:
		d.fail("no power is desired")
	default:
		d.fail("power %d is none that this program knows", s.GetPower())
	}
	d.rule(out.ValidateKept())
	for _, m := range out.Miners {
		d.address("miner", m)
	}
	return out
}

// decodeOnSilence of a VM; of one that was created without, it is the first.
func decodeOnSilence(d *decoder, a computev1.OnSilence) vm.SilenceAction {
	if a == computev1.OnSilence_ON_SILENCE_UNSPECIFIED {
		return vm.SilenceReboot
	}
	return enum(d, "action on silence", a, vm.SilenceCharge)
}

func decodeStatus(d *decoder, s *computev1.VMStatus) vm.Status {
	a := s.GetAttestation()
	out := vm.Status{
		Phase: enum(d, "phase", s.GetPhase(), vm.Terminated), Miner: d.addressOrNone("miner", s.GetMiner()),
		ObservedGeneration: s.GetObservedGeneration(), InstanceSeq: s.GetInstanceSeq(), HasData: s.GetHasData(),
		ReadyAt: d.time("ready_at", s.GetReadyAt()), Reason: s.GetReason(), Message: s.GetMessage(),
		PhaseSince: d.time("phase_since", s.GetPhaseSince()), Deadline: d.time("deadline", s.GetDeadline()), Attempts: s.GetAttempts(),
		Excluded: s.GetExcluded(), ObservedRebootSeq: s.GetObservedRebootSeq(), QueuePlace: s.GetQueuePlace(),
		MinersSearched: s.GetMinersSearched(), MinersTotal: s.GetMinersTotal(), RebuildInstance: s.GetRebuildInstance(),
		Attestation: vm.Attestation{
			LastAt: d.time("last_at", a.GetLastAt()), InstanceSeq: a.GetInstanceSeq(), Disk: a.GetDisk(),
			RunningSeconds: a.GetRunningSeconds(), StoppedSeconds: a.GetStoppedSeconds(),
			ProofHeight: d.height("proof_height", a.GetProofHeight()), ChargedUnits: a.GetChargedUnits(), Proven: a.GetProven(), Unproven: a.GetUnproven(),
			WholeSince: d.time("whole_since", a.GetWholeSince()),
			Usage:      credit.Usage{Units: a.GetOwedUnits(), Pending: all(d, a.GetPending(), decodeInterval)},
			Silence: vm.Silence{
				SilentSince: d.time("silent_since", a.GetSilentSince()), SeenAt: d.time("seen_at", a.GetSeenAt()),
				SilentReports: a.GetSilentReports(), SilenceReboots: a.GetSilenceReboots(),
			},
		},
	}
	d.rule(vm.ValidReason(out.Reason))
	d.rule(vm.ValidMessage(out.Message))
	out.Message = out.Explain()
	d.seconds("running_seconds", a.GetRunningSeconds())
	d.seconds("stopped_seconds", a.GetStoppedSeconds())
	d.rule(out.Attestation.Usage.Check())
	if out.MinersSearched > out.MinersTotal {
		d.fail("%d of %d miners searched", out.MinersSearched, out.MinersTotal)
	}
	d.atMost("excluded miners", len(out.Excluded), maxExcluded)
	for _, m := range out.Excluded {
		d.address("excluded miner", m)
	}
	if out.InstanceSeq > maxInstances || out.RebuildInstance > maxInstances+1 {
		d.fail("instance %d, rebuilt as %d; there are at most %d", out.InstanceSeq, out.RebuildInstance, maxInstances)
	}
	return out
}

func decodeInterval(d *decoder, i *computev1.Interval) credit.Interval {
	return credit.Interval{From: d.time("from", i.GetFrom()), To: d.time("to", i.GetTo()), Rate: i.GetRate()}
}

func decodeSize(d *decoder, s *computev1.Size) plan.Size {
	out := plan.Size{
		VCPUs: s.GetVcpus(), MemoryMiB: s.GetMemoryMib(), DiskGiB: s.GetDiskGib(), IOPS: s.GetIops(),
		DiskBytesPerSecond: s.GetDiskBytesPerSecond(), NetworkBitsPerSecond: s.GetNetworkBitsPerSecond(),
	}
	if err := out.Validate(); err != nil {
		d.fail("the size %w", err)
	}
	return out
}

func decodeRates(d *decoder, running, stopped uint64) plan.Rates {
	if max(running, stopped) > credit.MaxRate {
		d.fail("rates of %d and %d ucredit an hour; at most %d", running, stopped, uint64(credit.MaxRate))
	}
	return plan.Rates{Running: running, Stopped: stopped}
}

func decodeArch(d *decoder, s string) string {
	if s != "amd64" && s != "arm64" {
		d.fail("architecture %.20q is neither amd64 nor arm64", s)
	}
	return s
}

func decodeInstance(d *decoder, i *computev1.Instance) vm.Instance {
	if i.GetSeq() < 1 || i.GetSeq() > maxInstances {
		d.fail("an instance has number %d", i.GetSeq())
	}
	d.atMost("receipts", len(i.GetReceipts()), maxReceipts)
	return vm.Instance{
		Seq: i.GetSeq(), CommitmentHash: d.bytes("commitment hash", i.GetCommitmentHash(), hashSize),
		BundleHash: d.bytes("bundle hash", i.GetBundleHash(), hashSize), GuestKey: d.bytes("guest key", i.GetGuestKey(), keySize),
		MeshCertFingerprint: d.bytes("mesh certificate fingerprint", i.GetMeshCertFingerprint(), hashSize),
		CommitteeEpoch:      i.GetCommitteeEpoch(),
		Receipts: all(d, i.GetReceipts(), func(d *decoder, r *computev1.KeeperReceipt) vm.Receipt {
			return vm.Receipt{Keeper: d.bytes("keeper's key", r.GetKeeper(), keySize), Signature: d.bytes("receipt", r.GetSignature(), signatureSize)}
		}),
	}
}

// decodeKeyLine takes an authorized_keys line in the one form the chain stores: it ends up in that file.
func decodeKeyLine(d *decoder, line string) string {
	if k, err := sshkey.Parse(line); err != nil {
		d.rule(err)
	} else if k.Line != line {
		d.fail("an SSH key has more than its type and itself")
	}
	return line
}

func decodeRemovedKey(d *decoder, k *computev1.RemovedKey) vm.RemovedKey {
	d.rule(text.ValidName("SSH key name", k.GetName()))
	return vm.RemovedKey{
		Name: k.GetName(), PublicKey: decodeKeyLine(d, k.GetPublicKey()), Fingerprint: decodeFingerprint(d, k.GetFingerprint()),
		RemovedAt: d.time("removed_at", k.GetRemovedAt()),
	}
}

func decodeFingerprint(d *decoder, s string) string {
	d.rule(text.ValidASCII("fingerprint", s, maxFingerprint))
	return s
}

func decodeSSHKey(d *decoder, k *computev1.SSHKey) vm.SSHKey {
	d.rule(text.ValidName("SSH key name", k.GetName()))
	return vm.SSHKey{
		Owner: d.address("owner", k.GetOwner()), Name: k.GetName(), PublicKey: decodeKeyLine(d, k.GetPublicKey()),
		Fingerprint: decodeFingerprint(d, k.GetFingerprint()), AddedAt: d.time("added_at", k.GetAddedAt()), UsedBy: k.GetUsedBy(),
	}
}

func decodeHead(d *decoder, h *computev1.Head) vm.Head {
	return vm.Head{
		Height: d.height("height", h.GetHeight()), Hash: d.bytes("block hash", h.GetHash(), hashSize), Time: d.time("block time", h.GetTime()),
	}
}

// decodeResults are the answers to reports, in their order.
func decodeResults(d *decoder, reports []vm.Report, list []*computev1.ReportResult) []vm.ReportResult {
	if len(list) != len(reports) {
		d.fail("%d results for %d reports", len(list), len(reports))
		return nil
	}
	out := make([]vm.ReportResult, len(list))
	for i, r := range list {
		if id := reports[i].ID; r.GetVmId() != string(id) {
			d.fail("result %d is of VM %.40q; the report is of VM %.40q", i, r.GetVmId(), id)
		}
		out[i] = decodeResult(d, reports[i].ID, r)
	}
	return out
}

// decodeResult puts the code with which the chain answered a report of a VM into words.
func decodeResult(d *decoder, id vm.ID, r *computev1.ReportResult) vm.ReportResult {
	out := vm.ReportResult{ID: id, Code: r.GetCode()}
	if out.Code != 0 {
		out.Message = decodeRefusal(d, r.GetCodespace(), r.GetCode()).words()
	}
	return out
}

func decodeRefusal(d *decoder, codespace string, code uint32) Refusal {
	d.rule(text.ValidASCII("codespace", codespace, maxCodespace))
	return refusalOf(codespace, code)
}
