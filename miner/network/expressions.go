package network

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Small parts of rules, each the way nft's own compiler writes it, so that
// `nft list ruleset` shows them as a person would have typed them.

// Registers: two full ones of 16 bytes, and the 4-byte one behind the first
// four bytes, where the second part of a concatenation goes.
const (
	reg1      = 1
	regSecond = 9
)

func join(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func equals(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: data}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// drop counts what it drops.
func drop() []expr.Any { return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}} }

// inIs matches the names of incoming interfaces by how they begin.
func inIs(prefix string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, equals([]byte(prefix))}
}

func inIsNot(name string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: ifName(name)},
	}
}

func outIs(prefix string) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1}, equals([]byte(prefix))}
}

func outIsNot(prefix string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: []byte(prefix)},
	}
}

// answers matches packets of connections that were let through before.
func answers() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED),
			Xor:  make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
	}
}

// isNew matches packets of connections that nothing was heard of before, or
// that were not answered yet.
func isNew() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg1},
		&expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: make([]byte, 4)},
	}
}

// openBySource notes a connection under its source, and matches if that has
// more than so many.
func openBySource(set string, most uint32) []expr.Any {
	return join(ipv4(), []expr.Any{
		networkHeader(sourceAt, 4),
		&expr.Dynset{
			SrcRegKey: reg1, SetName: set, Operation: unix.NFT_DYNSET_OP_ADD,
			Exprs: []expr.Any{&expr.Connlimit{Count: most, Flags: expr.NFT_CONNLIMIT_F_INV}},
		},
	})
}

func protocol(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1}, equals([]byte{p})}
}

func ipv4() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg1}, equals([]byte{unix.NFPROTO_IPV4})}
}

func networkHeader(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func transportHeader(register, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

// Offsets in an IPv4 header.
const (
	sourceAt      = 12
	destinationAt = 16
)

func destinationIn(set string) []expr.Any {
	return join(ipv4(), []expr.Any{networkHeader(destinationAt, 4), &expr.Lookup{SourceRegister: reg1, SetName: set}})
}

// inSetDestination matches address and port together.
func inSetDestination(set string) []expr.Any {
	return join(ipv4(), []expr.Any{
		networkHeader(destinationAt, 4), transportHeader(regSecond, 2, 2),
		&expr.Lookup{SourceRegister: reg1, SetName: set},
	})
}

func destinationPort(port uint16) []expr.Any {
	return []expr.Any{transportHeader(reg1, 2, 2), equals(binary.BigEndian.AppendUint16(nil, port))}
}

func bothPorts(port uint16) []expr.Any {
	both := binary.BigEndian.AppendUint16(nil, port)
	return []expr.Any{transportHeader(reg1, 0, 4), equals(binary.BigEndian.AppendUint16(both, port))}
}

func sourceIn(p netip.Prefix) []expr.Any {
	return join(ipv4(), []expr.Any{
		networkHeader(sourceAt, 4),
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		equals(p.Addr().AsSlice()),
	})
}

// markTenant gives a packet the mark of the tenant it comes from.
func markTenant() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1},
		&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: mapTenants},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1, SourceRegister: true},
	}
}

// sameTenant matches a marked packet on its way to a tap of the mark.
func sameTenant() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: regSecond},
		&expr.Lookup{SourceRegister: reg1, SetName: setNeighbours},
	}
}

// The rest is for the netdev family, which sees frames.

func ethernet() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: reg1},
		equals(binary.NativeEndian.AppendUint16(nil, unix.ARPHRD_ETHER)),
	}
}

func linkHeader(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}
}

func sourceMACIsNot(mac net.HardwareAddr) []expr.Any {
	return join(ethernet(), []expr.Any{
		linkHeader(6, 6), &expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: mac},
	})
}

func etherType(kind uint16) []expr.Any {
	return join(ethernet(), []expr.Any{linkHeader(12, 2), equals(binary.BigEndian.AppendUint16(nil, kind))})
}

// arpSender matches the sender's two addresses in an ARP packet, which lie
// side by side.
func arpSender(mac net.HardwareAddr, addr netip.Addr) []expr.Any {
	return []expr.Any{networkHeader(8, 10), equals(slices.Concat(mac, addr.AsSlice()))}
}

func sourceIs(addr netip.Addr) []expr.Any {
	return []expr.Any{networkHeader(sourceAt, 4), equals(addr.AsSlice())}
}

// faster matches what exceeds a rate.
func faster(bytesPerSec uint64) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePktBytes, Rate: bytesPerSec, Over: true, Unit: expr.LimitTimeSecond, Burst: burst(bytesPerSec),
	}}
}
