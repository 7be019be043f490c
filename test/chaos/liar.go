package chaos

import (
	"context"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
)

// lie is what a node says that answers anything: the truth, an error, the past, the truth with something altered. It swallows
// and refuses transactions, and tells of some that are in a block that they are not, or failed.
func (l *line) lie(ctx context.Context, method string, in, out proto.Message, opts []grpc.CallOption) error {
	asked, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	switch in.(type) {
	case *txv1beta1.BroadcastTxRequest, *txv1beta1.GetTxRequest:
		asked = nil // signatures are made with keys that no seed decides
	}
	word := func(what ...any) int {
		return l.c.w.chance.word(append([]any{l.who, time.Now().UnixNano(), method, asked}, what...)...)
	}
	if answered, err := l.lieOfTx(in, out, word); answered {
		return err
	}
	switch w := word("how"); {
	case w < 10:
		return l.answer(ctx, method, in, out, opts)
	case w < 30:
		kinds := []codes.Code{codes.NotFound, codes.NotFound, codes.Unavailable, codes.InvalidArgument, codes.ResourceExhausted, codes.Unknown}
		return status.Error(kinds[word("error")%len(kinds)], "so it says")
	case w < 45:
		past := max(1, l.height()-int64(word("past")*word("more")))
		sayHeight(opts, []int64{past, l.height(), l.height() + 1000, 1 << 48}[word("height")%4])
		return l.c.Answer(method, in, out, past)
	}
	if err := l.answer(ctx, method, in, out, opts); err != nil {
		if word("made") < 50 {
			return nil // there is nothing, and it is empty
		}
		return err
	}
	for i := range 1 + word("times")%3 {
		alter(out.ProtoReflect(), l.c.w.names(), func(what ...any) int { return word(append([]any{i}, what...)...) })
	}
	return nil
}

// lieOfTx lies of transactions.
func (l *line) lieOfTx(in, out proto.Message, word func(...any) int) (answered bool, err error) {
	said := &abciv1beta1.TxResponse{}
	switch m := in.(type) {
	case *txv1beta1.BroadcastTxRequest:
		switch w := word("how"); {
		case w < 20:
			return true, l.broadcast(m, out)
		case w < 60: // swallowed
		default:
			said.Codespace, said.Code, said.RawLog = "sdk", uint32(1+word("code")%41), "so it says"
		}
		merge(out, &txv1beta1.BroadcastTxResponse{TxResponse: said})
		return true, nil
	case *txv1beta1.GetTxRequest:
		switch w := word("how"); {
		case w < 20:
			return true, l.find(m, out)
		case w < 60:
			return true, status.Error(codes.NotFound, "no such transaction")
		case w < 80: // done, in a block that is not
			said.Height = int64(word("height"))
		default:
			said.Codespace, said.Code, said.RawLog = "compute", uint32(1+word("code")%41), "so it says"
		}
		said.Txhash = m.GetHash()
		merge(out, &txv1beta1.GetTxResponse{TxResponse: said})
		return true, nil
	}
	return false, nil
}

// names that a lie may put in the place of others.
func (w *world) names() []string {
	all := []string{"", "web-1\nHost *\n  ProxyCommand touch /tmp/x", strings.Repeat("x", 4096)}
	for _, h := range w.hosts {
		all = append(all, h.wallet.Address())
	}
	return all
}

// alter puts something else in the place of one value.
func alter(m protoreflect.Message, names []string, word func(...any) int) {
	var set []protoreflect.FieldDescriptor
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); m.Has(f) || !f.IsList() && f.Message() == nil {
			set = append(set, f)
		}
	}
	if len(set) == 0 {
		return
	}
	f := set[word(m.Descriptor().FullName(), "field")%len(set)]
	deeper := func(what ...any) int { return word(append([]any{f.FullName()}, what...)...) }
	switch {
	case f.IsMap():
		m.Clear(f)
	case f.IsList():
		list := m.Mutable(f).List()
		at := deeper("at") % list.Len()
		switch w := deeper("list"); {
		case w < 15:
			list.Truncate(at)
		case w < 25:
			list.Append(list.Get(at))
		case f.Message() != nil:
			alter(list.Get(at).Message(), names, deeper)
		default:
			list.Set(at, other(f, list.Get(at), names, deeper))
		}
	case f.Message() != nil:
		if deeper("gone") < 10 {
			m.Clear(f)
			return
		}
		alter(m.Mutable(f).Message(), names, deeper)
	default:
		m.Set(f, other(f, m.Get(f), names, deeper))
	}
}

// other value of a field that is not a message.
func other(f protoreflect.FieldDescriptor, v protoreflect.Value, names []string, word func(...any) int) protoreflect.Value {
	w := word("value")
	switch f.Kind() { //nolint:exhaustive // the rest is left as it is
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.EnumKind:
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(w % values.Len()).Number())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(names[w%len(names)])
	case protoreflect.BytesKind:
		b := append([]byte{}, v.Bytes()...)
		if len(b) == 0 || w < 20 {
			return protoreflect.ValueOfBytes(nil)
		}
		b[w%len(b)] ^= 1
		return protoreflect.ValueOfBytes(b)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32([]int32{0, -1, math.MaxInt32, int32(v.Int()) + 1}[w%4])
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32([]uint32{0, 1, math.MaxUint32, uint32(v.Uint()) + 1}[w%4])
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64([]int64{0, 1 << 48, math.MaxInt64, v.Int() + 1, v.Int() - 100}[w%5])
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64([]uint64{0, 1 << 48, math.MaxUint64, v.Uint() + 1}[w%4])
	}
	return v
}
