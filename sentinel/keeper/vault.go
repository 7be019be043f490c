package keeper

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
)

// Errors of taking a deal in keeping.
var (
	errFull         = errors.New("this keeper holds all it can: try again later")
	errPending      = errors.New("all pending places are taken, and none by an account with more of them than yours: try again later")
	errOwnerPending = errors.New("the account has too many VMs dealt and not ordered: order them, or wait until their deals lapse")
	errUncovered    = errors.New("the account's credits do not cover one more VM dealt and not ordered: order those, buy credits, or try again in a minute")
	errVMBytes      = errors.New("the VM's bundles and user data are too large together")
)

// endsError refuses to take a pending deal again whose receipts would leave too little time to order the VM.
type endsError struct{ left int64 }

func (e endsError) Error() string {
	return fmt.Sprintf("the VM was dealt before and not ordered, and that deal ends in %d s: deal another VM, or this one after that", e.left)
}

// Errors of giving a part away.
var (
	errNotHeld   = errors.New("not held")
	errOtherDeal = errors.New("another deal is held")
)

// holding is what is known of one VM.
type holding struct {
	Owner string `json:"owner"`
	// Pending until the VM is seen on chain.
	Pending bool `json:"pending"`
	// DealtAt is the chain's time of the deal that made the VM pending, or of the last one of a VM on chain; CheckAt when to look at the chain again; MissingSince when the
	// chain was first seen without a VM it had; unix seconds, 0 for not.
	DealtAt      int64 `json:"dealt_at"`
	CheckAt      int64 `json:"check_at"`
	MissingSince int64 `json:"missing_since,omitempty"`
	// Parts there are, by instance.
	Parts map[uint32]part `json:"parts"`
	// UserDataBytes there are.
	UserDataBytes int `json:"user_data_bytes,omitempty"`
	// Log of releases.
	Log []released `json:"log,omitempty"`
}

// part is this keeper's shares of one instance's secret, as they were dealt; the sealed bundle lies beside.
type part struct {
	// SealedShares are in the database under the name of a time when a keeper had one share of a secret: a box with one.
	SealedShares []byte `json:"sealed_share"`
	Commitment   []byte `json:"commitment"`
	// CommitmentHash and BundleHash are what the chain names the deal by.
	CommitmentHash []byte `json:"commitment_hash"`
	BundleHash     []byte `json:"bundle_hash"`
	Epoch          uint64 `json:"epoch"`
	BundleBytes    int    `json:"bundle_bytes"`
	DealtAt        int64  `json:"dealt_at"`
	// OnChain once the chain names it.
	OnChain bool `json:"on_chain"`
}

// Counts over everything a keeper holds.
type Counts struct {
	VMs     int `json:"vms"`
	Pending int `json:"pending"`
}

// vault keeps holdings on disk. Every change is one transaction.
type vault struct {
	db     *store.DB
	limits Limits

	vms      store.Bucket[holding]
	bundles  store.Blobs
	userData store.Blobs
	pending  store.Bucket[int] // pending VMs by owner
	totals   store.Bucket[Counts]
	checks   store.Blobs // empty, by time of the next check and VM
	waiting  store.Blobs // empty, by owner, time of the deal and VM: the pending ones; see waitKey
}

const totalsKey = "all"

func newVault(db *store.DB, limits Limits) vault {
	return vault{
		db: db, limits: limits,
		vms:      store.NewBucket[holding]("keeper_vms"),
		bundles:  store.NewBlobs("keeper_bundles"),
		userData: store.NewBlobs("keeper_user_data"),
		pending:  store.NewBucket[int]("keeper_pending"),
		totals:   store.NewBucket[Counts]("keeper_totals"),
		checks:   store.NewBlobs("keeper_checks"),
		waiting:  store.NewBlobs("keeper_waiting"),
	}
}

func bundleKey(id vm.ID, seq uint32) string { return fmt.Sprintf("%s/%010d", id, seq) }

// deal is what is taken in keeping at once.
type deal struct {
	vmID    vm.ID
	owner   string
	onChain bool
	// covered is how many VMs of the owner may be pending by its balance.
	covered int
	// present instance of the VM on chain; no earlier one runs again.
	present  uint32
	at       time.Time
	parts    map[uint32]part
	bundles  map[uint32][]byte
	userData []byte
}

// take puts a deal on disk, in the place of what was dealt for the same instances before. While the VM is pending the
// time of its first deal counts: dealing again does not make it wait longer.
func (v vault) take(d deal) error {
	return v.db.Update(func(tx *store.Tx) error {
		h, had, err := v.vms.Get(tx, string(d.vmID))
		if err != nil {
			return err
		}
		if had && h.Pending && !d.onChain && v.limits.lapsed(h.DealtAt, d.at) {
			if err := v.erase(tx, d.vmID, h); err != nil {
				return err
			}
			had = false
		}
		was, since := h, d.at.Unix()
		switch {
		case !had:
			h, was = holding{Owner: d.owner, Parts: map[uint32]part{}}, holding{}
		case h.Pending && !d.onChain:
			since = h.DealtAt
			if left := v.limits.left(since, d.at); left < v.limits.OrderWithin {
				return endsError{int64(left.Seconds())}
			}
		}
		h.Pending = !d.onChain
		h.DealtAt, h.CheckAt, h.MissingSince = since, d.at.Unix(), 0
		if err := v.dropBefore(tx, d.vmID, h, d.present); err != nil {
			return err
		}
		for seq, p := range d.parts {
			p.DealtAt = since
			h.Parts[seq] = p
			if err := v.bundles.Put(tx, bundleKey(d.vmID, seq), d.bundles[seq]); err != nil {
				return err
			}
		}
		if len(d.userData) > 0 {
			h.UserDataBytes = len(d.userData)
			if err := v.userData.Put(tx, string(d.vmID), d.userData); err != nil {
				return err
			}
		}
		if h.bytes() > v.limits.VMBytes {
			return errVMBytes
		}
		if err := v.count(tx, h.Owner, !had, was.Pending, h.Pending, d.covered); err != nil {
			return err
		}
		return v.put(tx, d.vmID, h, was)
	})
}

// dropBefore drops the parts of instances before the present one, so that a VM may be moved and rebuilt as often as the chain allows.
func (v vault) dropBefore(tx *store.Tx, id vm.ID, h holding, present uint32) error {
	for seq := range h.Parts {
		if seq >= present {
			continue
		}
		delete(h.Parts, seq)
		if err := v.bundles.Delete(tx, bundleKey(id, seq)); err != nil {
			return err
		}
	}
	return nil
}

func (h holding) bytes() int {
	n := h.UserDataBytes
	for _, p := range h.Parts {
		n += p.BundleBytes + len(p.SealedShares) + len(p.Commitment)
	}
	return n
}

// count keeps the totals in step with one holding's change, and refuses what goes over a bound. The owner's balance
// covers so many pending VMs.
func (v vault) count(tx *store.Tx, owner string, added, wasPending, isPending bool, covered int) error {
	if !added && wasPending == isPending {
		return nil
	}
	all, _, err := v.totals.Get(tx, totalsKey)
	if err != nil {
		return err
	}
	mine, _, err := v.pending.Get(tx, owner)
	if err != nil {
		return err
	}
	if added {
		all.VMs++
	}
	if wasPending {
		all.Pending--
		mine--
	}
	if isPending {
		all.Pending++
		mine++
	}
	switch {
	case added && all.VMs > v.limits.VMs:
		return errFull
	case isPending && mine > v.limits.PendingPerOwner:
		return errOwnerPending
	case isPending && mine > covered:
		return errUncovered
	case isPending && all.Pending > v.limits.Pending:
		return errPending
	}
	return v.putCounts(tx, owner, all, mine)
}

func (v vault) putCounts(tx *store.Tx, owner string, all Counts, mine int) error {
	if err := v.totals.Put(tx, totalsKey, all); err != nil {
		return err
	}
	if mine <= 0 {
		return v.pending.Delete(tx, owner)
	}
	return v.pending.Put(tx, owner, mine)
}

// holding gives what is held for a VM.
func (v vault) holding(id vm.ID) (h holding, ok bool, err error) {
	err = v.db.View(func(tx *store.Tx) error {
		h, ok, err = v.vms.Get(tx, string(id))
		return err
	})
	return h, ok, err
}

// release notes who gets a part and then gives the part, its bundle and the user data, unless fits says that it is not
// the one meant.
func (v vault) release(id vm.ID, seq uint32, entry released, fits func(part) bool) (p part, bundle, userData []byte, err error) {
	err = v.db.Update(func(tx *store.Tx) error {
		h, _, err := v.vms.Get(tx, string(id))
		if err != nil {
			return err
		}
		var ok bool
		if p, ok = h.Parts[seq]; !ok {
			return errNotHeld
		}
		if !fits(p) {
			return errOtherDeal
		}
		bundle, userData = v.bundles.Get(tx, bundleKey(id, seq)), v.userData.Get(tx, string(id))
		h.Log = note(h.Log, entry)
		return v.vms.Put(tx, string(id), h)
	})
	return p, bundle, userData, err
}

// errEnough ends a listing early.
var errEnough = errors.New("enough")

// due lists up to limit VMs to be checked against the chain at now, oldest first.
func (v vault) due(now time.Time, limit int) (ids []vm.ID, err error) {
	err = v.db.View(func(tx *store.Tx) error {
		return v.checks.Each(tx, "", func(key string, _ []byte) error {
			at, id, _ := strings.Cut(key, "/")
			if len(ids) == limit || at > checkTime(now.Unix()) {
				return errEnough
			}
			ids = append(ids, vm.ID(id))
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return ids, err
}

// put keeps a holding, the time it is to be checked and whether it is pending, in the place of what it was; the zero
// value for a new one.
func (v vault) put(tx *store.Tx, id vm.ID, h, was holding) error {
	if err := v.unlist(tx, id, was); err != nil {
		return err
	}
	if err := v.checks.Put(tx, checkTime(h.CheckAt)+"/"+string(id), nil); err != nil {
		return err
	}
	if h.Pending {
		if err := v.waiting.Put(tx, waitKey(id, h), nil); err != nil {
			return err
		}
	}
	return v.vms.Put(tx, string(id), h)
}

// unlist takes a holding out of the lists by time and owner.
func (v vault) unlist(tx *store.Tx, id vm.ID, h holding) error {
	if err := v.checks.Delete(tx, checkTime(h.CheckAt)+"/"+string(id)); err != nil {
		return err
	}
	if !h.Pending {
		return nil
	}
	return v.waiting.Delete(tx, waitKey(id, h))
}

// erase removes a holding and all that belongs to it.
func (v vault) erase(tx *store.Tx, id vm.ID, h holding) error {
	for seq := range h.Parts {
		if err := v.bundles.Delete(tx, bundleKey(id, seq)); err != nil {
			return err
		}
	}
	if err := v.unlist(tx, id, h); err != nil {
		return err
	}
	if err := v.userData.Delete(tx, string(id)); err != nil {
		return err
	}
	if err := v.discount(tx, h.Owner, h.Pending); err != nil {
		return err
	}
	return v.vms.Delete(tx, string(id))
}

// checkTime sorts as text as the times do.
func checkTime(unix int64) string { return fmt.Sprintf("%012d", max(unix, 0)) }

// unixOf reads what checkTime wrote.
func unixOf(at string) int64 {
	unix, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 0
	}
	return unix
}

// change lets fn change a holding, or erase it and all that belongs to it by returning false. Parts that fn removes go
// with their bundles.
func (v vault) change(id vm.ID, fn func(h *holding) (keep bool)) error {
	return v.db.Update(func(tx *store.Tx) error {
		h, ok, err := v.vms.Get(tx, string(id))
		if err != nil || !ok {
			return err
		}
		was := h
		was.Parts = maps.Clone(h.Parts)
		if !fn(&h) {
			return v.erase(tx, id, was)
		}
		for seq := range was.Parts {
			if _, still := h.Parts[seq]; still {
				continue
			}
			if err := v.bundles.Delete(tx, bundleKey(id, seq)); err != nil {
				return err
			}
		}
		if err := v.count(tx, h.Owner, false, was.Pending, h.Pending, 0); err != nil {
			return err
		}
		return v.put(tx, id, h, was)
	})
}

// discount takes an erased holding off the totals.
func (v vault) discount(tx *store.Tx, owner string, wasPending bool) error {
	all, _, err := v.totals.Get(tx, totalsKey)
	if err != nil {
		return err
	}
	mine, _, err := v.pending.Get(tx, owner)
	if err != nil {
		return err
	}
	all.VMs--
	if wasPending {
		all.Pending--
		mine--
	}
	return v.putCounts(tx, owner, all, mine)
}

// counts reads the totals.
func (v vault) counts() (c Counts, err error) {
	err = v.db.View(func(tx *store.Tx) error {
		c, _, err = v.totals.Get(tx, totalsKey)
		return err
	})
	return c, err
}
