package types

import (
	"errors"
	"slices"

	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

const (
	// MaxSilenceCount of VMs are counted in an hour.
	MaxSilenceCount = 1<<20 - 1
	// maxSilenceHour since 1970 is of a time far away.
	maxSilenceHour = 1 << 40
)

// DefaultGenesis has parameters and nothing rented.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks the genesis by itself.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	type named struct{ owner, name string }
	keys, names, addresses, ids := map[named]bool{}, map[named]bool{}, map[named]bool{}, map[string]bool{}
	for _, k := range g.Keys {
		if err := ownerAndName(k.Owner, "SSH key name", k.Name); err != nil {
			return err
		}
		id := named{k.Owner, k.Name}
		if keys[id] {
			return ErrInvalid.Wrapf("SSH key %s of %s is there twice", k.Name, k.Owner)
		}
		keys[id] = true
	}
	for _, v := range g.Vms {
		if err := v.Validate(); err != nil {
			return err
		}
		if ids[v.Id] {
			return ErrInvalid.Wrapf("VM %s is there twice", v.Id)
		}
		ids[v.Id] = true
		if name := (named{v.Owner, v.Spec.Name}); !v.Ended() {
			if names[name] {
				return ErrInvalid.Wrapf("VM name %s of %s is there twice", v.Spec.Name, v.Owner)
			}
			names[name] = true
		}
		if a := (named{v.Owner, v.Spec.MeshAddress}); v.Status.Phase.Core() != vm.Terminated {
			if addresses[a] {
				return ErrInvalid.Wrapf("mesh address %s of %s is there twice", v.Spec.MeshAddress, v.Owner)
			}
			addresses[a] = true
		}
	}
	return g.validateQueue(ids)
}

// validateQueue checks the order of VMs that wait, and what is kept for guests and followers.
func (g GenesisState) validateQueue(ids map[string]bool) error {
	queued, classes := map[string]bool{}, map[string]bool{}
	for _, q := range g.Queue {
		if !ids[q.VmId] || queued[q.VmId] || q.Seq >= g.QueueSeq {
			return ErrInvalid.Wrapf("VM %.40q is in the queue at %d of %d; a VM of the genesis is there at most once, below queue_seq", q.VmId, q.Seq, g.QueueSeq)
		}
		queued[q.VmId], classes[q.Class] = true, q.Class != ""
	}
	for _, s := range g.Searches {
		if !classes[s.Class] {
			return ErrInvalid.Wrapf("class %.40q is searched; a class of the queue is at most once", s.Class)
		}
		classes[s.Class] = false
	}
	for _, h := range g.Heads {
		if h.Height < 1 || len(h.Hash) != hashSize {
			return ErrInvalid.Wrapf("head %d has a hash of %d bytes; it needs a height of at least 1 and %d", h.Height, len(h.Hash), hashSize)
		}
	}
	for _, r := range g.Released {
		if err := address("miner", r.Miner); err != nil {
			return err
		}
	}
	reported := map[string]bool{}
	for _, r := range g.ReportRates {
		if err := address("miner", r.Miner); err != nil {
			return err
		}
		if reported[r.Miner] || r.UsedUntil < 0 || r.EmptyUntil < 0 {
			return ErrInvalid.Wrapf("miner %s used free reports until %d and empty ones until %d; accepted is one record of a miner, with times of at least 0", r.Miner, r.UsedUntil, r.EmptyUntil)
		}
		reported[r.Miner] = true
	}
	type pair struct{ owner, miner string }
	excluded := map[pair]bool{}
	for _, e := range g.Exclusions {
		if err := errors.Join(address("owner", e.Owner), address("miner", e.Miner)); err != nil {
			return err
		}
		if id := (pair{e.Owner, e.Miner}); excluded[id] || e.Until < 1 {
			return ErrInvalid.Wrapf("miner %s is excluded for %s until %d; accepted is one time of at least 1", e.Miner, e.Owner, e.Until)
		}
		excluded[pair{e.Owner, e.Miner}] = true
	}
	var last Halt
	for i, h := range g.Halts {
		if h.Seconds < MinHaltSeconds || h.EndedAt < 1 || i >= MaxHalts || i > 0 && (h.Seconds <= last.Seconds || h.EndedAt >= last.EndedAt) {
			return ErrInvalid.Wrapf("halt %d took %d s until %d; accepted are %d of at least %d s, each longer and earlier than the one before",
				i, h.Seconds, h.EndedAt, MaxHalts, MinHaltSeconds)
		}
		last = h
	}
	if g.SilenceHour < 0 || g.SilenceHour > maxSilenceHour || g.SilenceActions > MaxSilenceCount {
		return ErrInvalid.Wrapf("%d VMs were acted on in hour %d; accepted are at most %d, and hours of 0 to %d", g.SilenceActions, g.SilenceHour, MaxSilenceCount, maxSilenceHour)
	}
	if g.OldestHeight < 0 {
		return ErrInvalid.Wrapf("the oldest height is %d; accepted are 0 and more", g.OldestHeight)
	}
	return nil
}

// Validate checks a VM's record by itself.
func (v VM) Validate() error {
	if err := address("owner", v.Owner); err != nil {
		return err
	}
	id, err := vm.NewID(v.Owner, v.Nonce)
	if err != nil || string(id) != v.Id {
		return ErrInvalid.Wrapf("VM %.40s is not named after its owner and nonce", v.Id)
	}
	if err := v.Spec.Core().ValidateKept(); err != nil {
		return ErrInvalid.Wrapf("VM %s: %s", v.Id, err)
	}
	if err := v.validateKeys(); err != nil {
		return err
	}
	p := v.Status.Phase.Core()
	if !slices.Contains(vm.Phases(), p) {
		return ErrInvalid.Wrapf("VM %s has no known phase", v.Id)
	}
	held := v.Status.Miner != ""
	if free := p == vm.Pending || p == vm.Archived || p == vm.Terminated; free && held || !free && !held && p != vm.Failed {
		return ErrInvalid.Wrapf("VM %s is %s, yet its miner is %q", v.Id, p, v.Status.Miner)
	}
	for i, in := range v.Instances {
		if in.Seq != uint32(i)+1 {
			return ErrInvalid.Wrapf("VM %s has instance %d in place %d", v.Id, in.Seq, i+1)
		}
		if err := in.Validate(); err != nil {
			return err
		}
	}
	if err := v.Status.Attestation.Core().Usage.Check(); err != nil {
		return ErrInvalid.Wrapf("VM %s: %s", v.Id, err)
	}
	if int(v.Status.InstanceSeq) > len(v.Instances) {
		return ErrInvalid.Wrapf("VM %s is at instance %d of %d", v.Id, v.Status.InstanceSeq, len(v.Instances))
	}
	if v.Status.RebuildInstance > v.Status.InstanceSeq+1 {
		return ErrInvalid.Wrapf("VM %s is at instance %d and was rebuilt as %d", v.Id, v.Status.InstanceSeq, v.Status.RebuildInstance)
	}
	if s := v.Status; s.ProvenInstance > s.InstanceSeq || s.BegunAt < 0 || max(len(s.RanOn), len(s.Suspects)) > MaxUnproven {
		return ErrInvalid.Wrapf("VM %s is at instance %d, was counted at %d, was begun at %d and ran on %d miners without a proof; accepted are instances up to the present, times of at least 0 and %d miners",
			v.Id, s.InstanceSeq, s.ProvenInstance, s.BegunAt, max(len(s.RanOn), len(s.Suspects)), MaxUnproven)
	}
	if r := v.Resize; r != nil && (r.Generation == 0 || r.Generation > v.Generation || r.Size_.DiskGib < v.Size_.DiskGib) {
		return ErrInvalid.Wrapf("VM %s of generation %d and %d GiB is to be resized to %d GiB by generation %d", v.Id, v.Generation, v.Size_.DiskGib, r.Size_.DiskGib, r.Generation)
	}
	return nil
}

// validateKeys checks that somebody can log in, with keys that are some.
func (v VM) validateKeys() error {
	named, removed := len(v.Spec.SshKeys), len(v.RemovedKeys)
	if n := named + removed; n > vm.MaxSSHKeys || n == 0 && !v.Ended() || removed > 0 && v.Ended() {
		return ErrInvalid.Wrapf("VM %s, %s, has %d SSH keys and %d removed ones", v.Id, v.Status.Phase.Core(), named, removed)
	}
	for _, k := range v.RemovedKeys {
		if err := text.ValidName("SSH key name", k.Name); err != nil {
			return ErrInvalid.Wrapf("VM %s: %s", v.Id, err)
		}
		key, err := sshkey.Parse(k.PublicKey)
		if err != nil || key.Line != k.PublicKey || key.Fingerprint != k.Fingerprint {
			return ErrInvalid.Wrapf("VM %s: the removed SSH key %s is none in its usual form", v.Id, k.Name)
		}
	}
	return nil
}
