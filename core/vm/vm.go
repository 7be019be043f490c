package vm

import (
	"slices"

	"github.com/hippius/compute/core/node"
)

// MaxInstances over a VM's life.
const MaxInstances = 4096

// VM is a virtual machine as the chain has it: the desired state, what was
// decided, and what was last observed. Times are unix seconds, 0 for never.
type VM struct {
	ID ID `json:"id"`
	// Owner is the tenant's account address.
	Owner string `json:"owner"`
	// Nonce of NonceSize bytes from which, with Owner, ID follows.
	Nonce []byte `json:"nonce"`
	Spec  Spec   `json:"spec"`
	// Generation rises with each change of the spec.
	Generation uint64 `json:"generation"`
	Status     Status `json:"status"`
	Sizing
	// Instances dealt so far, by sequence number.
	Instances []Instance `json:"instances,omitempty"`
	// Arch of the image: "amd64" or "arm64".
	Arch string `json:"arch"`
	// AuthorizedKeys are the lines of the spec's SSH keys and of RemovedKeys; empty once terminated.
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
	// RemovedKeys left the account since the VM was made, and open it until it is rebuilt.
	RemovedKeys  []RemovedKey `json:"removed_keys,omitempty"`
	CreatedAt    int64        `json:"created_at"`
	TerminatedAt int64        `json:"terminated_at,omitempty"`
	// ChangedHeight is the last block that changed spec, phase or miner.
	ChangedHeight int64 `json:"changed_height"`
}

// Status is what the chain decided on a VM and what its miner last reported.
type Status struct {
	Phase Phase `json:"phase"`
	// Miner that holds it, by operator's address; empty for none.
	Miner              string `json:"miner,omitempty"`
	ObservedGeneration uint64 `json:"observed_generation,omitempty"`
	// InstanceSeq is the present instance; 0 before the first assignment.
	InstanceSeq uint32 `json:"instance_seq,omitempty"`
	// HasData is true from its first proof on; without an agent from the first time it ran.
	HasData bool `json:"has_data,omitempty"`
	// ReadyAt is the first accepted proof of the present run, or when it was first charged without one; 0 before.
	ReadyAt int64 `json:"ready_at,omitempty"`
	// Reason is one of the Reason constants or a miner's own code; Message a sentence of the miner's, or Explain's.
	Reason     string `json:"reason,omitempty"`
	Message    string `json:"message,omitempty"`
	PhaseSince int64  `json:"phase_since,omitempty"`
	// Deadline of the present phase; 0 for none.
	Deadline int64  `json:"deadline,omitempty"`
	Attempts uint32 `json:"attempts,omitempty"`
	// Excluded miners failed it lately.
	Excluded          []string    `json:"excluded,omitempty"`
	ObservedRebootSeq uint64      `json:"observed_reboot_seq,omitempty"`
	Attestation       Attestation `json:"attestation"`
	// QueuePlace from 1 while it waits for capacity.
	QueuePlace uint32 `json:"queue_place,omitempty"`
	// MinersSearched of MinersTotal with available capacity, while it waits for it.
	MinersSearched uint32 `json:"miners_searched,omitempty"`
	MinersTotal    uint32 `json:"miners_total,omitempty"`
	// RebuildInstance is the first instance after the last rebuild; 0 for never rebuilt.
	RebuildInstance uint32 `json:"rebuild_instance,omitempty"`
}

// Instance is the public record of the secret of one incarnation of a VM.
type Instance struct {
	// Seq is 1 for the first.
	Seq uint32 `json:"seq"`
	// CommitmentHash and BundleHash are SHA-256 of what the keepers hold.
	CommitmentHash []byte    `json:"commitment_hash"`
	BundleHash     []byte    `json:"bundle_hash"`
	Receipts       []Receipt `json:"receipts,omitempty"`
	// GuestKey is the Ed25519 public key, 32 bytes, that signs this instance's proofs.
	GuestKey []byte `json:"guest_key"`
	// MeshCertFingerprint is the SHA-256 fingerprint of its mesh certificate.
	MeshCertFingerprint []byte `json:"mesh_cert_fingerprint"`
	CommitteeEpoch      uint64 `json:"committee_epoch"`
}

// Receipt is a keeper's signature over what it took in keeping for one instance.
type Receipt struct {
	// Keeper is the keeper's identity key, 32 bytes.
	Keeper    []byte `json:"keeper"`
	Signature []byte `json:"signature"`
}

// RemovedKey is an SSH key that is a VM's and not the account's any more.
type RemovedKey struct {
	Name        string `json:"name"`
	PublicKey   string `json:"public_key"`
	Fingerprint string `json:"fingerprint"`
	RemovedAt   int64  `json:"removed_at"`
}

// SSHKey is a public key of an account.
type SSHKey struct {
	Owner string `json:"owner"`
	Name  string `json:"name"`
	// PublicKey in authorized_keys form, without options or comment.
	PublicKey string `json:"public_key"`
	// Fingerprint "SHA256:…".
	Fingerprint string `json:"fingerprint"`
	AddedAt     int64  `json:"added_at"`
	// UsedBy counts the account's VMs that name it.
	UsedBy uint32 `json:"used_by"`
}

// State is what the VM's next phase depends on.
func (v VM) State() State {
	return State{Phase: v.Status.Phase, Held: v.Status.Miner != "", HasData: v.Status.HasData, On: v.Spec.On}
}

// Ended reports whether the VM is terminated or about to be.
func (v VM) Ended() bool { return v.Status.Phase.Ended() }

// Off reports whether the VM is off and stays so until its tenant starts it, if ever, or its miner has room to try again.
func (v VM) Off() bool {
	switch v.Status.Phase { //nolint:exhaustive // the others are on, or on their way
	case Stopped, Failed:
		return true
	case Lost, Terminating:
		return !v.Spec.On
	default:
		return false
	}
}

// Holds is what the VM takes of its host now: what it runs with, or its disk
// alone while it is off.
func (v VM) Holds() node.Demand {
	if v.Off() {
		return v.Demand().DiskOnly()
	}
	return v.Demand()
}

// KeepsDisk reports whether its host keeps its disk, with data or ready to be started, and nothing else runs for it.
func (v VM) KeepsDisk() bool {
	switch v.Status.Phase { //nolint:exhaustive // the others run, or have no disk that is sure to last
	case Stopped:
		return true
	case Failed:
		return v.Status.Miner != "" && v.Status.HasData && v.Status.Reason != ReasonDiskMissing
	default:
		return false
	}
}

// Rate is what the VM costs now, in ucredit per hour: while its guest, or for
// AgentNone or after too long a silence its host, has shown it running, or its disk is kept.
func (v VM) Rate() uint64 {
	switch {
	case (v.Status.Phase.On() || v.Status.Phase == Provisioning) && v.Status.ReadyAt > 0:
		return v.Rates.Running
	case v.KeepsDisk():
		return v.Rates.Stopped
	default:
		return 0
	}
}

// Instance gives the record of an instance; false for one that was not dealt or is not listed.
func (v VM) Instance(seq uint32) (Instance, bool) {
	i := slices.IndexFunc(v.Instances, func(in Instance) bool { return in.Seq == seq })
	if i < 0 {
		return Instance{}, false
	}
	return v.Instances[i], true
}

// LastInstance is the highest sequence number dealt; 0 for none.
func (v VM) LastInstance() (last uint32) {
	for _, in := range v.Instances {
		last = max(last, in.Seq)
	}
	return last
}
