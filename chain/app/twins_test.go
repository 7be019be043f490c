package app_test

import (
	"reflect"
	"strings"
	"testing"

	gogoproto "github.com/cosmos/gogoproto/proto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hippius/compute/api/descriptors"
	_ "github.com/hippius/compute/chain/client"
)

// TestTwinTypes has both generations of every message of the chain, the SDK's that clients use among them, in one
// process, and passes a filled message from the clients' (plain) to the chain's (gogoproto) and back: nothing of it may
// be lost on the way.
func TestTwinTypes(t *testing.T) {
	n := 0
	descriptors.Types.RangeMessages(func(plain protoreflect.MessageType) bool {
		name := plain.Descriptor().FullName()
		if strings.HasPrefix(string(name), "hippius.node.") || plain.Descriptor().IsMapEntry() {
			return true
		}
		n++
		kind := gogoproto.MessageType(string(name))
		if kind == nil {
			t.Errorf("%s: the chain does not know it", name)
			return true
		}
		sent := plain.New()
		fill(sent, 4)
		wire, err := proto.Marshal(sent.Interface())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		twin, ok := reflect.TypeAssert[gogoproto.Message](reflect.New(kind.Elem()))
		if !ok {
			t.Fatalf("%s: %v is no message", name, kind)
		}
		if err := gogoproto.Unmarshal(wire, twin); err != nil {
			t.Errorf("%s: the chain cannot read it: %v", name, err)
			return true
		}
		back, err := gogoproto.Marshal(twin)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := plain.New()
		if err := proto.Unmarshal(back, got.Interface()); err != nil {
			t.Errorf("%s: clients cannot read it: %v", name, err)
			return true
		}
		if !proto.Equal(sent.Interface(), got.Interface()) {
			t.Errorf("%s: sent\n %v\ncame back as\n %v", name, sent, got)
		}
		return true
	})
	if n < 150 {
		t.Errorf("only %d messages compared", n)
	}
}

// fill gives every field of m a value that is not its zero, down to depth levels of messages.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() != nil && (depth == 0 || f.Message().FullName() == "google.protobuf.Any") {
			continue
		}
		switch {
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			fill(m.Mutable(f).List().AppendMutable().Message(), depth-1)
		case f.IsList():
			m.Mutable(f).List().Append(value(f))
		case f.Message() != nil:
			fill(m.Mutable(f).Message(), depth-1)
		default:
			m.Set(f, value(f))
		}
	}
}

func value(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(7)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(7)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(7)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{7})
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("7") // also reads as a number, where the chain keeps one
	case protoreflect.FloatKind, protoreflect.DoubleKind, protoreflect.MessageKind, protoreflect.GroupKind:
	}
	panic("no value for " + f.FullName() + ": the chain's messages have no such field")
}
