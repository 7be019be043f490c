package app

import (
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
)

// lane is a part of a block's room.
type lane int

const (
	// reportLane has the transactions that are one miner's batch of reports.
	reportLane lane = iota
	otherLane
	lanes
)

func laneOf(tx sdk.Tx) lane {
	if msgs := tx.GetMsgs(); len(msgs) == 1 {
		if _, ok := msgs[0].(*computetypes.MsgReportVM); ok {
			return reportLane
		}
	}
	return otherLane
}

// other is the lane beside it.
func (l lane) other() lane { return lanes - 1 - l }

// extent is what transactions take of a block, or have of it.
type extent struct{ gas, bytes uint64 }

func (e extent) plus(o extent) extent { return extent{e.gas + o.gas, e.bytes + o.bytes} }

// within tells whether e is at most a part of a block's room in percent. Gas of a block without a bound always is.
func (e extent) within(room extent, percent uint64) bool {
	return (room.gas == 0 || e.gas <= room.gas/100*percent) && e.bytes <= room.bytes/100*percent
}

// extentOf is what a transaction takes of a block.
func extentOf(tx sdk.Tx, raw []byte) extent {
	e := extent{bytes: uint64(cmttypes.ComputeProtoSizeForTxs([]cmttypes.Tx{raw}))}
	if fee, ok := tx.(sdk.FeeTx); ok {
		e.gas = fee.GetGas()
	}
	return e
}

// roomOf a block by the consensus parameters; a gas of 0 is without a bound.
func roomOf(p *cmtproto.BlockParams) extent {
	room := extent{bytes: cmttypes.MaxBlockSizeBytes}
	if p == nil {
		return room
	}
	if p.MaxBytes > 0 {
		room.bytes = uint64(p.MaxBytes)
	}
	if p.MaxGas > 0 {
		room.gas = uint64(p.MaxGas)
	}
	return room
}

// filling is a block in the making.
type filling struct {
	room extent
	used [lanes]extent
}

// fits tells whether a transaction has room in its lane, of what the lane owns or, with borrow, also of what the other leaves.
func (f *filling) fits(l lane, e extent, borrow bool) bool {
	percent := uint64(lanePercent)
	if borrow {
		percent = laneMaxPercent
	}
	in := f.used[l].plus(e)
	return in.within(f.room, percent) && in.plus(f.used[l.other()]).within(f.room, 100)
}

func (f *filling) add(l lane, e extent) { f.used[l] = f.used[l].plus(e) }
