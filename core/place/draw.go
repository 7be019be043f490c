package place

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/hippius/compute/core/node"
)

// Slot is a miner's place on the ring of miners with available capacity.
func Slot(miner string) uint64 { return hash("slot", miner, 0, "") }

// Start is where on the ring the walk for an instance begins. A walk takes the
// miners from there upwards, then from the ring's beginning, so that whoever is
// elsewhere on it changes nothing.
func Start(vm string, seq uint32) uint64 { return hash("start", vm, seq, "") }

// drawn is a candidate with its lot.
type drawn struct {
	Candidate
	hash uint64
	// weight is how many such VMs it could hold, and cost -log2 of the hash
	// as a part of 2^64, with 32 fractional bits: the greatest weight/cost
	// comes first, so a miner is drawn in proportion to its weight.
	weight, cost uint64
}

func draw(req Request, c Candidate) drawn {
	h := hash("draw", req.VM, req.Seq, c.Miner)
	a := node.AvailableCapacity(c.Capacity, c.Usage, req.Overcommit)
	w := a.VCPUs / max(uint64(req.Demand.VCPUs), 1)
	w = min(w, uint64(c.Slots), a.MemoryMiB/max(req.Demand.MemoryMiB, 1), a.DiskGiB/max(req.Demand.DiskGiB, 1))
	return drawn{Candidate: c, hash: h, weight: w, cost: negLog2(h)}
}

// compareDraws compares b.weight/b.cost with a.weight/a.cost without division.
func compareDraws(a, b drawn) int {
	ahi, alo := bits.Mul64(a.weight, b.cost)
	bhi, blo := bits.Mul64(b.weight, a.cost)
	if c := cmp.Compare(bhi, ahi); c != 0 {
		return c
	}
	return cmp.Compare(blo, alo)
}

// negLog2 is -log2((h|1)/2^64) with 32 fractional bits, at least 1.
func negLog2(h uint64) uint64 {
	h |= 1
	n := bits.Len64(h) - 1
	m := h << (63 - n) // 1.63 fixed point, 1 <= m < 2
	var frac uint64
	for range 32 {
		hi, lo := bits.Mul64(m, m) // 2.126 fixed point
		frac <<= 1
		if hi>>63 != 0 { // m² >= 2
			frac |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return uint64(64-n)<<32 - frac
}

// hash is the first 8 bytes of a SHA-256 over length-prefixed fields.
func hash(what, a string, seq uint32, b string) uint64 {
	buf := make([]byte, 0, 128)
	buf = append(buf, "hippius/place/v1\x00"...)
	for _, f := range []string{what, a, b} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(f)))
		buf = append(buf, f...)
	}
	buf = binary.BigEndian.AppendUint32(buf, seq)
	sum := sha256.Sum256(buf)
	return binary.BigEndian.Uint64(sum[:])
}

// ratio is part of whole in parts of node.Full.
func ratio(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	hi, lo := bits.Mul64(min(part, whole), node.Full)
	q, _ := bits.Div64(hi, lo, whole) // hi < whole, as part/whole <= 1 and Full < 2^64
	return q
}
