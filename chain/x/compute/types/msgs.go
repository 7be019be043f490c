package types

import (
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// Bounds of messages.
const (
	// MaxInstances dealt in one message.
	MaxInstances = 16
	// MaxInstanceSeq over a VM's life.
	MaxInstanceSeq = vm.MaxInstances
	// MaxReceipts of one instance: one of each member of a committee.
	MaxReceipts = committee.MaxSeats
	// MaxReports in one batch.
	MaxReports = vm.MaxReports
	hashSize   = 32
	keySize    = 32
	sigSize    = 64
)

// ValidateBasic checks the form of a key's addition; the key itself is read when it is added.
func (m *MsgAddSSHKey) ValidateBasic() error { return ownerAndName(m.Owner, "SSH key name", m.Name) }

// ValidateBasic checks the form of a key's removal.
func (m *MsgRemoveSSHKey) ValidateBasic() error { return ownerAndName(m.Owner, "SSH key name", m.Name) }

// ValidateBasic checks the form of a VM's creation.
func (m *MsgCreateVM) ValidateBasic() error {
	if err := address("owner", m.Owner); err != nil {
		return err
	}
	if _, err := vm.NewID(m.Owner, m.Nonce); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	if err := m.Spec.Core().Validate(); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	switch {
	case m.Spec.Power != Power_POWER_UNSPECIFIED && m.Spec.Power != Power_POWER_ON:
		return ErrInvalid.Wrap("a VM is created on; stop it afterwards")
	case m.Spec.RebootSeq != 0:
		return ErrInvalid.Wrap("reboot_seq of a new VM is 0")
	case m.Spec.Agent < AgentMode_AGENT_MODE_UNSPECIFIED || m.Spec.Agent > AgentMode_AGENT_MODE_NONE:
		return ErrInvalid.Wrapf("agent mode %d; accepted are guest and none", m.Spec.Agent)
	case m.Spec.OnSilence < OnSilence_ON_SILENCE_UNSPECIFIED || m.Spec.OnSilence > OnSilence_ON_SILENCE_CHARGE:
		return ErrInvalid.Wrapf("action %d on a silent guest; accepted are reboot, stop and charge", m.Spec.OnSilence)
	}
	for _, miner := range m.Spec.Miners {
		if err := address("miner", miner); err != nil {
			return err
		}
	}
	return validateInstances(m.Instances, 1)
}

// ValidateBasic checks the form of further instances.
func (m *MsgDealInstances) ValidateBasic() error {
	if err := ownerAndVM(m.Owner, m.VmId); err != nil {
		return err
	}
	if len(m.Instances) == 0 {
		return ErrInstances.Wrapf("no instances; accepted are 1 to %d", MaxInstances)
	}
	return validateInstances(m.Instances, m.Instances[0].Seq)
}

func validateInstances(list []Instance, first uint32) error {
	if n := len(list); n == 0 || n > MaxInstances {
		return ErrInstances.Wrapf("%d instances; accepted are 1 to %d", n, MaxInstances)
	}
	for i, in := range list {
		if in.Seq != first+uint32(i) || in.Seq == 0 || in.Seq > MaxInstanceSeq {
			return ErrInstances.Wrapf("instance %d has sequence number %d; they are numbered one after the other, up to %d", i+1, in.Seq, MaxInstanceSeq)
		}
		if err := in.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks an instance's form.
func (in Instance) Validate() error {
	for _, f := range []struct {
		what string
		b    []byte
		size int
	}{
		{"commitment hash", in.CommitmentHash, hashSize},
		{"bundle hash", in.BundleHash, hashSize},
		{"guest key", in.GuestKey, keySize},
		{"mesh certificate fingerprint", in.MeshCertFingerprint, hashSize},
	} {
		if len(f.b) != f.size {
			return ErrInstances.Wrapf("instance %d: the %s has %d bytes; it needs exactly %d", in.Seq, f.what, len(f.b), f.size)
		}
	}
	if len(in.Receipts) > MaxReceipts {
		return ErrReceipts.Wrapf("instance %d has %d receipts; at most %d", in.Seq, len(in.Receipts), MaxReceipts)
	}
	for _, r := range in.Receipts {
		if len(r.Keeper) != keySize || len(r.Signature) != sigSize {
			return ErrReceipts.Wrapf("instance %d: a receipt has a key of %d bytes and a signature of %d; they need %d and %d", in.Seq, len(r.Keeper), len(r.Signature), keySize, sigSize)
		}
	}
	return nil
}

// ValidateBasic checks the form of a start.
func (m *MsgStartVM) ValidateBasic() error { return ownerAndVM(m.Owner, m.VmId) }

// ValidateBasic checks the form of a stop.
func (m *MsgStopVM) ValidateBasic() error { return ownerAndVM(m.Owner, m.VmId) }

// ValidateBasic checks the form of a reboot.
func (m *MsgRebootVM) ValidateBasic() error { return ownerAndVM(m.Owner, m.VmId) }

// ValidateBasic checks the form of a termination.
func (m *MsgTerminateVM) ValidateBasic() error { return ownerAndVM(m.Owner, m.VmId) }

// ValidateBasic checks the form of a renaming.
func (m *MsgRenameVM) ValidateBasic() error {
	if err := ownerAndVM(m.Owner, m.VmId); err != nil {
		return err
	}
	return ownerAndName(m.Owner, "VM name", m.Name)
}

// ValidateBasic checks the form of a resize.
func (m *MsgResizeVM) ValidateBasic() error { return vmAndEntry(m.Owner, m.VmId, "plan", m.Plan) }

// ValidateBasic checks the form of a rebuild.
func (m *MsgRebuildVM) ValidateBasic() error {
	if err := vmAndEntry(m.Owner, m.VmId, "image", m.Image); err != nil {
		return err
	}
	if err := vm.ValidKeys(m.SshKeys); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func vmAndEntry(owner, id, what, name string) error {
	if err := ownerAndVM(owner, id); err != nil {
		return err
	}
	if err := plan.ValidateName(what, name); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

// ValidateBasic checks the form of a batch; each report is judged by itself later.
func (m *MsgReportVM) ValidateBasic() error {
	if err := address("miner", m.Miner); err != nil {
		return err
	}
	if n := len(m.Reports); n > MaxReports {
		return ErrInvalid.Wrapf("%d reports in one batch; at most %d", n, MaxReports)
	}
	return nil
}

// Validate checks a report's form.
func (r VMReport) Validate() error {
	if _, err := vm.ParseID(r.VmId); err != nil {
		return ErrBadReport.Wrap(err.Error())
	}
	if _, ok := vm.ReportOf(r.Phase.Core()); !ok {
		return ErrBadReport.Wrapf("phase %s is not a miner's to report", r.Phase)
	}
	if err := vm.ValidReportReason(r.Reason); err != nil {
		return ErrBadReport.Wrap(err.Error())
	}
	if err := vm.ValidMessage(r.Message); err != nil {
		return ErrBadReport.Wrap(err.Error())
	}
	if r.Proof != nil && (r.Proof.Height <= 0 || len(r.Proof.Signature) != sigSize) {
		return ErrBadReport.Wrapf("the proof is of height %d with %d bytes of signature; it needs a height and %d bytes", r.Proof.Height, len(r.Proof.Signature), sigSize)
	}
	return nil
}

// ValidateBasic checks the form of a change of parameters.
func (m *MsgUpdateParams) ValidateBasic() error {
	if err := address("authority", m.Authority); err != nil {
		return err
	}
	return m.Params.Validate()
}

func ownerAndName(owner, what, name string) error {
	if err := address("owner", owner); err != nil {
		return err
	}
	if err := text.ValidName(what, name); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func ownerAndVM(owner, id string) error {
	if err := address("owner", owner); err != nil {
		return err
	}
	if _, err := vm.ParseID(id); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}

func address(what, s string) error {
	if _, err := account.Parse(what, s); err != nil {
		return ErrInvalid.Wrap(err.Error())
	}
	return nil
}
