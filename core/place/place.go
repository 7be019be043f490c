// Package place chooses the miner of a VM. Every validator
// computes the same choice from the same facts: integers only, no clock, no
// chance but a hash that the tenant's own VM id fixes.
//
// The work is bounded: the caller hands over a bounded slice of the ring of
// miners with available capacity (see Slot and Start), and Place looks at each once, plus one
// sort of those that pass the gates.
package place

import (
	"cmp"
	"slices"

	"github.com/hippius/compute/core/node"
)

// Weights of the score, parts of 100.
const (
	weightQuality    = 35
	weightFree       = 25
	weightPrice      = 20
	weightStake      = 10
	weightNewcomer   = 10
	weightSameTenant = 35
)

// goodQuality is from where on more quality is no reason to prefer a miner for a further attempt: VMs of one's own raise it.
const goodQuality = 9 * node.Full / 10

// NewcomerSeconds is how long after registration a miner is favoured, falling to nothing.
const NewcomerSeconds = 30 * 24 * 3600

// Request is one VM that needs a miner.
type Request struct {
	VM string
	// Seq is the instance to be placed: each attempt draws anew.
	Seq    uint32
	Demand node.Demand
	// Region and Arch wanted; empty for any.
	Region, Arch string
	// Miners to choose among; empty for any.
	Miners []string
	// Excluded miners failed it lately.
	Excluded []string
	// Again: an attempt failed before, so quality decides, up to nine tenths of Full, and the score only among equals.
	Again bool
	// Overcommit of vCPUs, parts of 100.
	Overcommit uint32
	// MinBond in uhip.
	MinBond uint64
	// Now is the block's time and Silence the longest time since a miner was seen, in seconds.
	Now, Silence int64
}

// Candidate is a miner as the chain knows it.
type Candidate struct {
	Miner string
	// Open: active, computing, taking new VMs.
	Open         bool
	Bond         uint64
	RegisteredAt int64
	LastSeen     int64
	Region, Arch string
	Capacity     node.Capacity
	Usage        node.Usage
	// Slots is how many more VMs it may be given, whatever its capacity.
	Slots uint32
	// Quality and Price, 0 to node.Full; the better the more.
	Quality, Price uint64
	// SameTenant: it holds another VM of the tenant. SameGroup: one of the same spread group.
	SameTenant, SameGroup bool
}

// Choice is the outcome.
type Choice struct {
	// Miner chosen; empty if there is none.
	Miner string
	// OnlyExcluded: only excluded miners have the capacity.
	OnlyExcluded bool
	// Score of the chosen, at most 100·node.Full.
	Score int64
}

// Place chooses the best of at most limit candidates, drawn by rendezvous
// among those that pass every gate. The order of cands does not matter; no
// miner may be in it twice.
func Place(req Request, cands []Candidate, limit int) Choice {
	fit := make([]drawn, 0, len(cands))
	onlyExcluded := false
	for _, c := range cands {
		if !Passes(req, c) {
			continue
		}
		if slices.Contains(req.Excluded, c.Miner) {
			onlyExcluded = true
			continue
		}
		fit = append(fit, draw(req, c))
	}
	if len(fit) == 0 {
		return Choice{OnlyExcluded: onlyExcluded}
	}
	// Spread while capacity allows: those without the group, if any.
	if apart := slices.DeleteFunc(slices.Clone(fit), func(d drawn) bool { return d.SameGroup }); len(apart) > 0 {
		fit = apart
	}
	slices.SortFunc(fit, byRendezvous)
	if len(fit) > limit {
		fit = fit[:max(limit, 1)]
	}

	var maxBond uint64
	for _, d := range fit {
		maxBond = max(maxBond, d.Bond)
	}
	best, bestScore := fit[0], score(req, fit[0].Candidate, maxBond)
	for _, d := range fit[1:] {
		s := score(req, d.Candidate, maxBond)
		better := cmp.Or(cmp.Compare(s, bestScore), byRendezvous(best, d))
		if req.Again {
			better = cmp.Or(cmp.Compare(min(d.Quality, goodQuality), min(best.Quality, goodQuality)), better)
		}
		if better > 0 {
			best, bestScore = d, s
		}
	}
	return Choice{Miner: best.Miner, Score: bestScore}
}

// Passes applies the gates that no score can outweigh: whether a miner would do at all.
func Passes(req Request, c Candidate) bool {
	switch {
	case !c.Open, c.Bond < req.MinBond, c.Slots == 0, req.Now-c.LastSeen > req.Silence:
		return false
	case req.Region != "" && req.Region != c.Region:
		return false
	case req.Arch != "" && req.Arch != c.Arch:
		return false
	case len(req.Miners) > 0 && !slices.Contains(req.Miners, c.Miner):
		return false
	}
	return node.AvailableCapacity(c.Capacity, c.Usage, req.Overcommit).Fits(req.Demand)
}

func score(req Request, c Candidate, maxBond uint64) int64 {
	free := node.AvailableCapacity(c.Capacity, c.Usage, req.Overcommit).Share(c.Capacity, req.Overcommit)
	s := weightQuality*int64(min(c.Quality, node.Full)) +
		weightFree*int64(free) +
		weightPrice*int64(min(c.Price, node.Full)) +
		weightStake*int64(ratio(c.Bond, maxBond)) +
		weightNewcomer*int64(newcomer(req.Now-c.RegisteredAt))
	if c.SameTenant {
		s -= weightSameTenant * node.Full
	}
	return s
}

func newcomer(age int64) uint64 {
	if age >= NewcomerSeconds {
		return 0
	}
	return ratio(uint64(NewcomerSeconds-max(age, 0)), NewcomerSeconds)
}

// byRendezvous orders the better draw first; a total order, as no miner is there twice.
func byRendezvous(a, b drawn) int {
	if c := compareDraws(a, b); c != 0 {
		return c
	}
	if c := cmp.Compare(b.hash, a.hash); c != 0 {
		return c
	}
	return cmp.Compare(a.Miner, b.Miner)
}
