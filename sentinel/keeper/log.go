package keeper

import (
	"bytes"
	"slices"
)

// maxLog bounds the releases remembered for one VM.
const maxLog = 256

const (
	roleMiner = "miner"
	roleOwner = "owner"
)

// released is one line of a VM's log.
type released struct {
	At   int64  `json:"at"`
	Seq  uint32 `json:"seq"`
	To   []byte `json:"to"`
	Role string `json:"role"`
}

func (r released) same(o released) bool {
	return r.Seq == o.Seq && r.Role == o.Role && bytes.Equal(r.To, o.To)
}

// note adds a line. Of the same release made over and over the first and the last are kept, so that nobody pushes
// another's line out by asking often; when the log is full, the owner's own oldest lines go first.
func note(log []released, r released) []released {
	first := slices.IndexFunc(log, r.same)
	if first >= 0 {
		if last := slices.IndexFunc(log[first+1:], r.same); last >= 0 {
			log = slices.Delete(log, first+1+last, first+2+last)
		}
	}
	log = append(log, r)
	if len(log) <= maxLog {
		return log
	}
	oldest := max(0, slices.IndexFunc(log, func(o released) bool { return o.Role == roleOwner }))
	return slices.Delete(log, oldest, oldest+1)
}
