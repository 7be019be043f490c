package computetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// hostileText is what strangers put where a name belongs.
var hostileText = []string{
	"../../etc/passwd", "..", "a/../../b", "/etc/shadow", `..\..\x`, "%2e%2e%2f", "C:x", "a\x00b", "a\nb: c", "a\r\nb", "a\tb",
	"<script>", "]]>", "&amp;", `"/><x y="`, "'; --", "$(reboot)", "`reboot`", "a;b", "a|b", "a&&b", "-rf", "--help", "~root", "*", "a b",
	"*alias", "&anchor", "!!python/object", "{{.}}", "%s%n%d", "{a: b}", "[a]", "- a", "#", "a: b", "|",
	"-rf:80", "a b:80", "a/..:80", "$(x):80", "é.example:80", "http://x:80", "user@x:80", "127.0.0.1:0x50", "[::1%eth0]:80", "a..b:80", ".:80",
	"https://x/\u202egpj", "https://x/ y", "https://user:password@x/", "javascript:alert(1)", "gopher://x/", "https:x",
	"\x1b[2J", "\u202egpj", "\u200b", "\ufeffa", "é", "\uff0e\uff0e\uff0f", "e\u0301", "İ", "ﬁ", "\U000e0041", "😀", "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80",
	strings.Repeat("a", 70), strings.Repeat("a", 300), strings.Repeat("[", 9000), strings.Repeat("a", 60_000),
}

// takes are the fields that are free text of printable characters, or bytes
// that the chain only keeps, and how many bytes of them. Every field that is
// not here takes nothing hostile at all, new ones included.
var takes = map[string]struct {
	most int
	any  bool
}{
	"MsgBuy.reference":                     {most: creditstypes.MaxReference},
	"MsgReportVM.reports.message":          {most: vm.MaxMessageLen},
	"MsgRegisterMiner.capacity.cpu_model":  {most: 128},
	"MsgSetImage.image.os":                 {most: 64},
	"MsgSetImage.image.version":            {most: 64},
	"MsgSetImage.image.urls":               {most: 512}, // of what is here, one is a URL
	"MsgSetApp.app.description":            {most: 256},
	"MsgSetApp.app.recipe":                 {most: plan.MaxRecipe, any: true}, // governance's own script
	"MsgSetTenantCA.certificate":           {most: meshtypes.MaxCertificate, any: true},
	"MsgRegisterLighthouse.ca_certificate": {most: meshtypes.MaxCertificate, any: true},
}

// good are messages that are taken, one of each kind there is.
func (w *world) good(a, miner apptest.Account, id string) map[string]sdk.Msg {
	w.t.Helper()
	gov := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	fresh := offer("miner5")
	fresh.Version = "v1"
	key := public("new")
	said := w.proven(w.says(id, vm.Running))
	said.Reason, said.Message = "reason", "words"
	create := w.createMsg(a, "web-9", func(m *computetypes.MsgCreateVM) {
		m.Spec.UserDataHash, m.Spec.Region, m.Spec.SpreadGroup = hash("user data"), "eu", "group"
		m.Spec.Miners, m.Spec.Apps = []string{miner.Address}, []string{"docker"}
	})
	list := []sdk.Msg{
		create,
		&computetypes.MsgAddSSHKey{Owner: a.Address, Name: "desk", PublicKey: sshLine(w.t, "desk")},
		&computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "desk", Force: true},
		&computetypes.MsgDealInstances{Owner: a.Address, VmId: id, Instances: w.instances(a.Address, id, 9, 2)},
		&computetypes.MsgStartVM{Owner: a.Address, VmId: id},
		&computetypes.MsgStopVM{Owner: a.Address, VmId: id},
		&computetypes.MsgRebootVM{Owner: a.Address, VmId: id},
		&computetypes.MsgRenameVM{Owner: a.Address, VmId: id, Name: "other"},
		&computetypes.MsgResizeVM{Owner: a.Address, VmId: id, Plan: "pulse"},
		&computetypes.MsgRebuildVM{Owner: a.Address, VmId: id, Image: "debian-12", SshKeys: []string{"laptop"}},
		&computetypes.MsgTerminateVM{Owner: a.Address, VmId: id},
		&computetypes.MsgReportVM{Miner: miner.Address, Reports: []computetypes.VMReport{said}},
		&computetypes.MsgUpdateParams{Authority: gov, Params: computetypes.DefaultParams()},
		&creditstypes.MsgBuy{Buyer: miner.Address, Recipient: a.Address, Uhip: bond, Reference: "ref"},
		&creditstypes.MsgUpdateParams{Authority: gov, Params: creditstypes.DefaultParams()},
		&creditstypes.MsgAddToReserve{Sender: miner.Address, Uhip: bond},
		&creditstypes.MsgSpendBuffer{Authority: gov, Recipient: a.Address, Uhip: 1},
		&markettypes.MsgSetPlan{Authority: gov, Plan: markettypes.PlanOf(plan.Defaults()[0])},
		&markettypes.MsgSetImage{Authority: gov, Image: markettypes.ImageOf(image("next", 1))},
		&markettypes.MsgSetApp{Authority: gov, App: markettypes.AppOf(plan.App{Name: "x", Recipe: "y", Description: "z", Images: []string{"huge"}})},
		&markettypes.MsgUpdateParams{Authority: gov, Params: markettypes.DefaultParams()},
		&meshtypes.MsgRegisterTenant{Owner: a.Address, CaPublicKey: key},
		&meshtypes.MsgSetTenantCA{Owner: a.Address, Certificate: []byte("certificate")},
		&meshtypes.MsgAddDevice{Owner: a.Address, Name: "phone"},
		&meshtypes.MsgRemoveDevice{Owner: a.Address, Name: "phone"},
		&meshtypes.MsgRevoke{Owner: a.Address, Fingerprints: [][]byte{hash("lost")}},
		&meshtypes.MsgRegisterLighthouse{Operator: a.Address, Name: "light", CaCertificate: []byte("certificate"), Endpoints: []string{"light.example:4242"}, Days: 3},
		&meshtypes.MsgRemoveLighthouse{Operator: a.Address},
		&meshtypes.MsgUpdateParams{Authority: gov, Params: meshtypes.DefaultParams()},
		&rankingtypes.MsgClaimEarnings{Operator: a.Address},
		fresh,
		&registrytypes.MsgDrainMiner{Operator: miner.Address},
		&registrytypes.MsgUnbondMiner{Operator: miner.Address},
		&registrytypes.MsgRegisterKeeper{Operator: a.Address, Identity: key, HpkeKey: hash("hpke"), Endpoint: "k.example:7000", Name: "k"},
		&registrytypes.MsgUpdateParams{Authority: gov, Params: registrytypes.DefaultParams()},
	}
	out := make(map[string]sdk.Msg, len(list))
	for _, m := range list {
		out[sdk.MsgTypeURL(m)] = m
	}
	return out
}

// spoiled is one message with one field made hostile.
type spoiled struct {
	field, how string
	msg        sdk.Msg
	value      []byte // of text and bytes; nil for the others
	// number: the field may take it, if it breaks nothing.
	number bool
}

// spoil makes a message hostile in every field in every way, one at a time.
func spoil(t *testing.T, m sdk.Msg) []spoiled {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out []spoiled
	kind := reflect.TypeOf(m).Elem()
	// at makes a fresh copy and the path's value in it.
	at := func(path []int) (sdk.Msg, reflect.Value) {
		copied := reflect.New(kind)
		msg, ok := reflect.TypeAssert[sdk.Msg](copied)
		if !ok {
			t.Fatalf("%s is no message", kind)
		}
		if err := proto.Unmarshal(raw, msg); err != nil {
			t.Fatal(err)
		}
		v := copied.Elem()
		for _, i := range path {
			for v.Kind() == reflect.Pointer {
				v = v.Elem()
			}
			if v.Kind() == reflect.Slice {
				v = v.Index(i)
			} else {
				v = v.Field(i)
			}
		}
		return msg, v
	}
	set := func(path []int, field, how string, change func(v reflect.Value) []byte) {
		msg, v := at(path)
		out = append(out, spoiled{field: field, how: how, value: change(v), msg: msg, number: v.CanUint() || v.Kind() == reflect.Int64})
	}
	var walk func(path []int, field string)
	walk = func(path []int, field string) {
		_, v := at(path)
		switch v.Kind() { //nolint:exhaustive // what generated messages are made of
		case reflect.Pointer:
			if v.IsNil() {
				t.Fatalf("the good message has no %s", field)
			}
			fallthrough
		case reflect.Struct:
			st := v.Type()
			if st.Kind() == reflect.Pointer {
				st = st.Elem()
			}
			for i := range st.NumField() {
				walk(append(slices.Clone(path), i), field+"."+protoName(st.Field(i)))
			}
		case reflect.String:
			if v.Len() == 0 {
				t.Fatalf("the good message has no %s", field)
			}
			for _, s := range hostileText {
				set(path, field, fmt.Sprintf("%.30q of %d bytes", s, len(s)), func(v reflect.Value) []byte { v.SetString(s); return []byte(s) })
			}
		case reflect.Slice:
			if v.Len() == 0 {
				t.Fatalf("the good message has no %s", field)
			}
			if v.Type().Elem().Kind() == reflect.Uint8 {
				for _, n := range []int{1, v.Len() - 1, v.Len() + 1, 60_000} {
					set(path, field, fmt.Sprintf("%d bytes", n), func(v reflect.Value) []byte { b := make([]byte, n); v.SetBytes(b); return b })
				}
				return
			}
			set(path, field, "thousandfold", func(v reflect.Value) []byte {
				list := reflect.MakeSlice(v.Type(), 0, 1000)
				for range 1000 {
					list = reflect.Append(list, v.Index(0))
				}
				v.Set(list)
				return nil
			})
			walk(append(slices.Clone(path), 0), field)
		case reflect.Int32: // enumerations
			for _, n := range []int64{-1, 99, 1<<31 - 1} {
				set(path, field, fmt.Sprint(n), func(v reflect.Value) []byte { v.SetInt(n); return nil })
			}
		case reflect.Int64:
			for _, n := range []int64{-1, -1 << 63, 1<<63 - 1} {
				set(path, field, fmt.Sprint(n), func(v reflect.Value) []byte { v.SetInt(n); return nil })
			}
		case reflect.Uint32, reflect.Uint64:
			set(path, field, "the most", func(v reflect.Value) []byte { v.SetUint(1<<v.Type().Bits() - 1); return nil })
		case reflect.Bool:
		default:
			t.Fatalf("%s is a %s: say here how it is made hostile", field, v.Kind())
		}
	}
	walk(nil, kind.Name())
	return out
}

// protoName is a field's name in the proto file.
func protoName(f reflect.StructField) string {
	for part := range strings.SplitSeq(f.Tag.Get("protobuf"), ",") {
		if name, ok := strings.CutPrefix(part, "name="); ok {
			return name
		}
	}
	return f.Name
}

// TestHostileFields puts what harms others into every field of every message
// there is. It is refused with a registered error, in a sentence fit to print.
func TestHostileFields(t *testing.T) {
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	miner := w.miner("miner0")
	id := w.running(a, "web-1")
	w.NextBlock(1)
	good := w.good(a, miner, id)

	tried, taken := 0, map[string]bool{}
	for _, url := range w.App.InterfaceRegistry().ListImplementations(sdk.MsgInterfaceProtoName) {
		if !strings.HasPrefix(url, "/hippius.") {
			continue
		}
		m, ok := good[url]
		if !ok {
			t.Errorf("%s: add a good one to this test", url)
			continue
		}
		checked, ok := m.(sdk.HasValidateBasic)
		if !ok {
			t.Errorf("%s is not checked before it is executed", url)
			continue
		}
		if err := checked.ValidateBasic(); err != nil {
			t.Errorf("%s: the good one is refused: %v", url, err)
			continue
		}
		for _, s := range spoil(t, m) {
			tried++
			if w.meets(s) {
				taken[s.field] = true
			}
		}
	}
	for field := range takes {
		if !taken[field] {
			t.Errorf("%s took nothing: was it reached?", field)
		}
	}
	t.Logf("%d hostile messages", tried)
	if tried < 5000 {
		t.Errorf("only %d hostile messages were made: is the walk cut short?", tried)
	}
}

// meets delivers one hostile message. Those that fail the first check, which
// every node makes, are not delivered too: it is the same check. It tells
// whether the message was taken.
func (w *world) meets(s spoiled) bool {
	w.t.Helper()
	checked, ok := s.msg.(sdk.HasValidateBasic)
	if !ok {
		w.t.Fatalf("%T cannot be checked", s.msg)
	}
	err := checked.ValidateBasic()
	if err == nil {
		err = w.execute(s.msg)
	}
	if err == nil {
		free, ok := takes[s.field]
		switch {
		case s.number: // execute saw that it violates no invariant
		case !ok:
			w.t.Errorf("%s takes %s", s.field, s.how)
		case len(s.value) > free.most:
			w.t.Errorf("%s takes %d bytes; at most %d are to be kept", s.field, len(s.value), free.most)
		case !free.any && strings.ContainsFunc(string(s.value), func(c rune) bool { return !text.Printable(c) }):
			w.t.Errorf("%s takes %s", s.field, s.how)
		}
		return true
	}
	space, code, words := errorsmod.ABCIInfo(err, false)
	if space == errorsmod.UndefinedCodespace {
		w.t.Errorf("%s, %s: no registered error: %v", s.field, s.how, err)
	}
	if code == 0 || len(words) > 1000 || strings.ContainsFunc(words, func(c rune) bool { return !text.Printable(c) }) {
		w.t.Errorf("%s, %s: the answer is not fit to print: %d bytes, %.200q", s.field, s.how, len(words), words)
	}
	return false
}

// execute runs a message without keeping what it does.
func (w *world) execute(m sdk.Msg) error {
	ctx, _ := w.Ctx().CacheContext()
	handler := w.App.MsgServiceRouter().Handler(m)
	if handler == nil {
		w.t.Fatalf("nobody handles %T", m)
	}
	res, err := handler(ctx, m)
	if err != nil {
		return err
	}
	if err := w.App.Keepers.Credits.EndBlock(ctx); err != nil { // what it paid is sent on at the end of its block
		w.t.Errorf("%v: %v", m, err)
	}
	if err := w.App.CheckInvariants(ctx); err != nil {
		w.t.Errorf("%v violates an invariant: %v", m, err)
	}
	if _, ok := m.(*computetypes.MsgReportVM); ok {
		return w.refusedReport(res)
	}
	return nil
}

// refusedReport is the registered error of the first report of a batch that was refused; nil if none was.
func (w *world) refusedReport(res *sdk.Result) error {
	w.t.Helper()
	var answer computetypes.MsgReportVMResponse
	if err := proto.Unmarshal(res.MsgResponses[0].Value, &answer); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range answer.Results {
		if r.Code != 0 {
			return errorsmod.ABCIError(r.Codespace, r.Code, "the report is refused")
		}
	}
	return nil
}

// TestHostileKeyLines: whatever stands around a key in its line, the key alone
// is kept, as one line.
func TestHostileKeyLines(t *testing.T) {
	w := newWorld(t, nil)
	a := w.tenant("tenant")
	line := sshLine(t, "desk")
	for _, s := range hostileText {
		for _, given := range []string{line + " " + s, s + " " + line, `command="` + s + `" ` + line, line + "\n" + s, line + s} {
			m := &computetypes.MsgAddSSHKey{Owner: a.Address, Name: "desk", PublicKey: given}
			err := m.ValidateBasic()
			ctx, _ := w.Ctx().CacheContext()
			if err == nil {
				_, err = w.App.MsgServiceRouter().Handler(m)(ctx, m)
			}
			if err != nil {
				if space, _, said := errorsmod.ABCIInfo(err, false); space != computetypes.ModuleName || len(said) > 1000 || strings.ContainsFunc(said, func(c rune) bool { return !text.Printable(c) }) {
					t.Errorf("%.60q: %s: %.200q", given, space, said)
				}
				continue
			}
			r, err := w.compute.SSHKeys(ctx, &computetypes.QuerySSHKeysRequest{Owner: a.Address})
			if err != nil || len(r.Keys) != 2 || r.Keys[0].PublicKey != line {
				t.Errorf("%.60q is kept as %+v, %v", given, r.GetKeys(), err)
			}
		}
	}
}
