package client

import (
	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/core/vm"
)

// encodeSpec leaves out the power: a VM is created on.
func encodeSpec(s vm.Spec) *computev1.VMSpec {
	return &computev1.VMSpec{
		Name: s.Name, Plan: s.Plan, Image: s.Image, Apps: s.Apps, UserDataHash: s.UserDataHash, SshKeys: s.SSHKeys,
		MeshAddress: s.MeshAddress, HostCa: s.HostCA, Agent: computev1.AgentMode(s.Agent), OnSilence: computev1.OnSilence(s.OnSilence), Region: s.Region, SpreadGroup: s.SpreadGroup,
		Miners: s.Miners, Priority: s.Priority, RebootSeq: s.RebootSeq,
	}
}

func encodeInstances(list []vm.Instance) []*computev1.Instance {
	out := make([]*computev1.Instance, 0, len(list))
	for _, i := range list {
		receipts := make([]*computev1.KeeperReceipt, 0, len(i.Receipts))
		for _, r := range i.Receipts {
			receipts = append(receipts, &computev1.KeeperReceipt{Keeper: r.Keeper, Signature: r.Signature})
		}
		out = append(out, &computev1.Instance{
			Seq: i.Seq, CommitmentHash: i.CommitmentHash, BundleHash: i.BundleHash, Receipts: receipts, GuestKey: i.GuestKey,
			MeshCertFingerprint: i.MeshCertFingerprint, CommitteeEpoch: i.CommitteeEpoch,
		})
	}
	return out
}

func encodeReports(list []vm.Report) []*computev1.VMReport {
	out := make([]*computev1.VMReport, 0, len(list))
	for _, r := range list {
		report := &computev1.VMReport{
			VmId: string(r.ID), InstanceSeq: r.InstanceSeq, ObservedGeneration: r.ObservedGeneration, Phase: computev1.Phase(r.Phase),
			Reason: r.Reason, Message: r.Message, ObservedRebootSeq: r.ObservedRebootSeq, SizeGeneration: r.SizeGeneration,
		}
		if p := r.Proof; p != nil {
			report.Proof = &computev1.ProofReport{Height: p.Height, Signature: p.Signature}
		}
		out = append(out, report)
	}
	return out
}
