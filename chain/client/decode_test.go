package client

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// spoil tries changes of an honest answer: each must make it unusable.
func spoil[F proto.Message, T any](t *testing.T, honest func() F, decode func(*decoder, F) T, changes map[string]func(F)) {
	t.Helper()
	_, err := one("answer", nil, honest(), decode)
	require.NoError(t, err)
	for what, change := range changes {
		answer := honest()
		change(answer)
		got, err := one("answer", nil, answer, decode)
		require.ErrorIs(t, err, ErrAnswer, what)
		require.Zero(t, got, what)
		require.NotContains(t, err.Error(), "\n", what)
	}
}

const hostLine = "web-1\nHost *\n  ProxyCommand sh -c 'touch /tmp/x'"

func TestDecodeVM(t *testing.T) {
	v, err := one("VM", nil, wireVM(5), decodeVM)
	require.NoError(t, err)
	require.Equal(t, "n5", v.Spec.Name)
	require.Equal(t, vm.Running, v.Status.Phase)
	require.True(t, v.Spec.On)
	require.Equal(t, vm.AgentGuest, v.Spec.Agent)
	require.Equal(t, uint64(8900), v.Rates.Running)
	require.Equal(t, plan.Defaults()[0].Size, v.Size)
	require.Equal(t, v.Size, v.Resize.Size)
	require.Len(t, v.AuthorizedKeys, 2)

	unset := func() *computev1.VM { return wireVM(5) }
	spoil(t, unset, decodeVM, map[string]func(*computev1.VM){
		"a name that is more ssh configuration": func(v *computev1.VM) { v.Spec.Name = hostLine },
		"a name with an escape code":            func(v *computev1.VM) { v.Spec.Name = "web\x1b[2J" },
		"no spec":                               func(v *computev1.VM) { v.Spec = nil },
		"no status":                             func(v *computev1.VM) { v.Status = nil },
		"no size":                               func(v *computev1.VM) { v.Size = nil },
		"id of a path":                          func(v *computev1.VM) { v.Id = "../../etc" },
		"id of another nonce":                   func(v *computev1.VM) { v.Id = wireVM(6).GetId() },
		"another's id":                          func(v *computev1.VM) { v.Owner = wireAddress(1) },
		"owner":                                 func(v *computev1.VM) { v.Owner = "me" },
		"nonce":                                 func(v *computev1.VM) { v.Nonce = nil },
		"phase unknown":                         func(v *computev1.VM) { v.Status.Phase = 13 },
		"phase 256 times around":                func(v *computev1.VM) { v.Status.Phase = 256 + 4 },
		"phase negative":                        func(v *computev1.VM) { v.Status.Phase = -1 },
		"phase missing":                         func(v *computev1.VM) { v.Status.Phase = 0 },
		"agent mode":                            func(v *computev1.VM) { v.Spec.Agent = 3 },
		"power":                                 func(v *computev1.VM) { v.Spec.Power = 3 },
		"power missing":                         func(v *computev1.VM) { v.Spec.Power = 0 },
		"plan's name":                           func(v *computev1.VM) { v.Spec.Plan = "a b" },
		"image's name":                          func(v *computev1.VM) { v.Spec.Image = "" },
		"application's name":                    func(v *computev1.VM) { v.Spec.Apps = []string{"\x00"} },
		"key's name":                            func(v *computev1.VM) { v.Spec.SshKeys = []string{"a/b"} },
		"address with a zone":                   func(v *computev1.VM) { v.Spec.MeshAddress = "fe80::1%$(id)" },
		"address":                               func(v *computev1.VM) { v.Spec.MeshAddress = "-oProxyCommand=id" },
		"host CA":                               func(v *computev1.VM) { v.Spec.HostCa = v.Spec.HostCa[1:] },
		"region":                                func(v *computev1.VM) { v.Spec.Region = "e\nu" },
		"group":                                 func(v *computev1.VM) { v.Spec.SpreadGroup = "\t" },
		"miners":                                func(v *computev1.VM) { v.Spec.Miners = []string{"rack-1"} },
		"priority":                              func(v *computev1.VM) { v.Spec.Priority = 1001 },
		"user data":                             func(v *computev1.VM) { v.Spec.UserDataHash = []byte{1} },
		"miner":                                 func(v *computev1.VM) { v.Status.Miner = "\x1b" },
		"excluded":                              func(v *computev1.VM) { v.Status.Excluded = []string{""} },
		"reason":                                func(v *computev1.VM) { v.Status.Reason = "Because." },
		"message":                               func(v *computev1.VM) { v.Status.Message = "all\r\nwell" },
		"message's length":                      func(v *computev1.VM) { v.Status.Message = strings.Repeat("a", 257) },
		"ready before 1970":                     func(v *computev1.VM) { v.Status.ReadyAt = -1 },
		"phase since the end of time":           func(v *computev1.VM) { v.Status.PhaseSince = math.MaxInt64 },
		"deadline":                              func(v *computev1.VM) { v.Status.Deadline = math.MinInt64 },
		"instance":                              func(v *computev1.VM) { v.Status.InstanceSeq = 1 << 20 },
		"rebuilt as":                            func(v *computev1.VM) { v.Status.RebuildInstance = 1 << 20 },
		"pending": func(v *computev1.VM) {
			v.Status.Attestation.Pending = []*computev1.Interval{{From: 9, To: 8, Rate: 1}}
		},
		"owed units":                func(v *computev1.VM) { v.Status.Attestation.OwedUnits = math.MaxUint64 },
		"silent since":              func(v *computev1.VM) { v.Status.Attestation.SilentSince = math.MaxInt64 },
		"silence action":            func(v *computev1.VM) { v.Spec.OnSilence = 9 },
		"attested":                  func(v *computev1.VM) { v.Status.Attestation.LastAt = math.MaxInt64 },
		"seconds running":           func(v *computev1.VM) { v.Status.Attestation.RunningSeconds = math.MaxUint64 },
		"seconds stopped":           func(v *computev1.VM) { v.Status.Attestation.StoppedSeconds = math.MaxUint64 },
		"proof's height":            func(v *computev1.VM) { v.Status.Attestation.ProofHeight = math.MaxInt64 },
		"height":                    func(v *computev1.VM) { v.ChangedHeight = math.MaxInt64 },
		"created":                   func(v *computev1.VM) { v.CreatedAt = -5 },
		"terminated":                func(v *computev1.VM) { v.TerminatedAt = math.MaxInt64 },
		"rate":                      func(v *computev1.VM) { v.RunningRate = math.MaxUint64 },
		"stopped rate":              func(v *computev1.VM) { v.StoppedRate = math.MaxUint64 },
		"architecture":              func(v *computev1.VM) { v.Arch = "vax" },
		"vCPUs":                     func(v *computev1.VM) { v.Size.Vcpus = math.MaxUint32 },
		"disk":                      func(v *computev1.VM) { v.Size.DiskGib = math.MaxUint64 },
		"size to be":                func(v *computev1.VM) { v.Resize.Size = &computev1.Size{} },
		"rate to be":                func(v *computev1.VM) { v.Resize.RunningRate = math.MaxUint64 },
		"resize of the future":      func(v *computev1.VM) { v.Resize.Generation = 4 },
		"keys with a command":       func(v *computev1.VM) { v.AuthorizedKeys[0] = `command="id" ` + v.AuthorizedKeys[0] },
		"keys of two lines":         func(v *computev1.VM) { v.AuthorizedKeys[0] += "\n" + v.AuthorizedKeys[1] },
		"keys with a comment":       func(v *computev1.VM) { v.AuthorizedKeys[0] += " me" },
		"too many keys":             func(v *computev1.VM) { v.AuthorizedKeys = slicesOf(17, v.AuthorizedKeys[0]) },
		"removed key's name":        func(v *computev1.VM) { v.RemovedKeys[0].Name = "\n" },
		"removed key":               func(v *computev1.VM) { v.RemovedKeys[0].PublicKey = "ssh-rsa" },
		"removed key's fingerprint": func(v *computev1.VM) { v.RemovedKeys[0].Fingerprint = "\x1b[0m" },
		"removed at":                func(v *computev1.VM) { v.RemovedKeys[0].RemovedAt = -1 },
		"instance 0":                func(v *computev1.VM) { v.Instances[0].Seq = 0 },
		"commitment":                func(v *computev1.VM) { v.Instances[0].CommitmentHash = nil },
		"bundle":                    func(v *computev1.VM) { v.Instances[0].BundleHash = nil },
		"guest key":                 func(v *computev1.VM) { v.Instances[0].GuestKey = nil },
		"fingerprint":               func(v *computev1.VM) { v.Instances[0].MeshCertFingerprint = nil },
		"receipt":                   func(v *computev1.VM) { v.Instances[0].Receipts[0].Signature = nil },
		"receipt's keeper":          func(v *computev1.VM) { v.Instances[0].Receipts[0].Keeper = nil },
	})
}

func slicesOf(n int, s string) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

func TestDecodeSSHKey(t *testing.T) {
	line, fingerprint := wireKeyLine(1)
	honest := func() *computev1.SSHKey {
		return &computev1.SSHKey{Owner: wireAddress(0), Name: "laptop", PublicKey: line, Fingerprint: fingerprint, AddedAt: 1}
	}
	spoil(t, honest, decodeSSHKey, map[string]func(*computev1.SSHKey){
		"name":        func(k *computev1.SSHKey) { k.Name = hostLine },
		"owner":       func(k *computev1.SSHKey) { k.Owner = "" },
		"line":        func(k *computev1.SSHKey) { k.PublicKey = "" },
		"fingerprint": func(k *computev1.SSHKey) { k.Fingerprint = strings.Repeat("a", 65) },
		"added":       func(k *computev1.SSHKey) { k.AddedAt = math.MaxInt64 },
	})
}

func TestDecodeHead(t *testing.T) {
	honest := func() *computev1.Head { return &computev1.Head{Height: 1, Hash: make([]byte, 32), Time: 1_800_000_000} }
	spoil(t, honest, decodeHead, map[string]func(*computev1.Head){
		"height": func(h *computev1.Head) { h.Height = math.MaxInt64 },
		"hash":   func(h *computev1.Head) { h.Hash = nil },
		"time":   func(h *computev1.Head) { h.Time = -1 },
	})
}

func TestDecodeMiner(t *testing.T) {
	spoil(t, wireMiner, decodeMiner, map[string]func(*registryv1.Miner){
		"operator":     func(m *registryv1.Miner) { m.Operator = "x" },
		"name":         func(m *registryv1.Miner) { m.Name = hostLine },
		"identity":     func(m *registryv1.Miner) { m.Identity = nil },
		"roles":        func(m *registryv1.Miner) { m.Roles = []string{"compute", "compute"} },
		"endpoint":     func(m *registryv1.Miner) { m.Endpoint = "http://x" },
		"region":       func(m *registryv1.Miner) { m.Region = "\x1b" },
		"capacity":     func(m *registryv1.Miner) { m.Capacity = nil },
		"cores":        func(m *registryv1.Miner) { m.Capacity.Cores = math.MaxUint32 },
		"acceleration": func(m *registryv1.Miner) { m.Capacity.Acceleration = "magic" },
		"model":        func(m *registryv1.Miner) { m.Capacity.CpuModel = "\x1b[31m" },
		"status":       func(m *registryv1.Miner) { m.Status = 5 },
		"no status":    func(m *registryv1.Miner) { m.Status = 0 },
		"registered":   func(m *registryv1.Miner) { m.RegisteredAt = -1 },
		"seen":         func(m *registryv1.Miner) { m.LastSeen = math.MaxInt64 },
		"unbonding":    func(m *registryv1.Miner) { m.UnbondingUntil = math.MaxInt64 },
		"version":      func(m *registryv1.Miner) { m.Version = "v1\n" },
	})
}

func TestDecodeCommittee(t *testing.T) {
	spoil(t, wireCommittee, decodeCommittee, map[string]func(*registryv1.Committee){
		"threshold above": func(c *registryv1.Committee) { c.Threshold = 3 },
		"threshold none":  func(c *registryv1.Committee) { c.Threshold = 0 },
		"threshold below": func(c *registryv1.Committee) { c.Threshold = 1 },
		"no share":        func(c *registryv1.Committee) { c.Keepers[0].Shares = 0 },
		"too many shares": func(c *registryv1.Committee) { c.Keepers[0].Shares, c.Threshold = 63, 44 },
		"endless shares":  func(c *registryv1.Committee) { c.Keepers[0].Shares = math.MaxUint32 },
		"too many seats": func(c *registryv1.Committee) {
			for len(c.Keepers) < 22 {
				c.Keepers = append(c.Keepers, c.Keepers[0])
			}
		},
		"deals until":  func(c *registryv1.Committee) { c.DealsUntil = -1 },
		"keeper twice": func(c *registryv1.Committee) { c.Keepers[1] = c.Keepers[0] },
		"operator":     func(c *registryv1.Committee) { c.Keepers[0].Operator = "" },
		"identity":     func(c *registryv1.Committee) { c.Keepers[0].Identity = nil },
		"HPKE key":     func(c *registryv1.Committee) { c.Keepers[0].HpkeKey = nil },
		"endpoint":     func(c *registryv1.Committee) { c.Keepers[0].Endpoint = "" },
		"name":         func(c *registryv1.Committee) { c.Keepers[0].Name = "A" },
	})
}

func TestDecodeTenant(t *testing.T) {
	spoil(t, func() *meshv1.Tenant { return wireTenant(3) }, decodeTenant, map[string]func(*meshv1.Tenant){
		"owner":            func(v *meshv1.Tenant) { v.Owner = "" },
		"another's block":  func(v *meshv1.Tenant) { v.Index = 4 },
		"half a block":     func(v *meshv1.Tenant) { v.Networks = v.Networks[:1] },
		"all addresses":    func(v *meshv1.Tenant) { v.Networks[0] = "0.0.0.0/0" },
		"CA's key":         func(v *meshv1.Tenant) { v.CaPublicKey = nil },
		"CA":               func(v *meshv1.Tenant) { v.CaCertificate = make([]byte, 1025) },
		"revoked":          func(v *meshv1.Tenant) { v.Revoked[0] = nil },
		"device's name":    func(v *meshv1.Tenant) { v.Devices[0].Name = "\x1b" },
		"device's address": func(v *meshv1.Tenant) { v.Devices[0].Address = "100.64.0.48" },
		"device's host":    func(v *meshv1.Tenant) { v.Devices[0].Host = 2 },
		"device added":     func(v *meshv1.Tenant) { v.Devices[0].AddedAt = -1 },
		"height":           func(v *meshv1.Tenant) { v.ChangedHeight = math.MaxInt64 },
		"registered":       func(v *meshv1.Tenant) { v.RegisteredAt = -1 },
		"released":         func(v *meshv1.Tenant) { v.ReleaseAt = math.MaxInt64 },
	})
	released := wireTenant(3)
	released.Networks, released.Devices = nil, nil
	_, err := one("tenant", nil, released, decodeTenant)
	require.NoError(t, err, "a block that was released")
}

func TestDecodeNewDevice(t *testing.T) {
	spoil(t, func() *meshv1.Device { return wireTenant(3).GetDevices()[0] }, decodeNewDevice, map[string]func(*meshv1.Device){
		"name":    func(v *meshv1.Device) { v.Name = hostLine },
		"host":    func(v *meshv1.Device) { v.Host = 2 },
		"address": func(v *meshv1.Device) { v.Address = "" },
		"added":   func(v *meshv1.Device) { v.AddedAt = -1 },
	})
}

func TestDecodeLighthouse(t *testing.T) {
	spoil(t, wireLighthouse, decodeLighthouse, map[string]func(*meshv1.Lighthouse){
		"operator":         func(l *meshv1.Lighthouse) { l.Operator = "" },
		"name":             func(l *meshv1.Lighthouse) { l.Name = hostLine },
		"tenant's address": func(l *meshv1.Lighthouse) { l.Address = "100.64.0.2" },
		"no address":       func(l *meshv1.Lighthouse) { l.Address = "" },
		"certificate":      func(l *meshv1.Lighthouse) { l.CaCertificate = make([]byte, 1025) },
		"endpoint":         func(l *meshv1.Lighthouse) { l.Endpoints[0] = "a b:1" },
		"endpoints":        func(l *meshv1.Lighthouse) { l.Endpoints = slicesOf(9, l.GetEndpoints()[0]) },
		"height":           func(l *meshv1.Lighthouse) { l.ChangedHeight = math.MaxInt64 },
		"expires_at":       func(l *meshv1.Lighthouse) { l.ExpiresAt = -1 },
	})
}

func TestDecodeMarket(t *testing.T) {
	price := func() *marketplacev1.PlanPrice {
		return &marketplacev1.PlanPrice{RunningUcreditPerHour: 1, Plan: &marketplacev1.Plan{
			Name: "spark", Vcpus: 1, MemoryMib: 2048, DiskGib: 18, Iops: 500, DiskBytesPerSecond: 1, NetworkBitsPerSecond: 1e6,
		}}
	}
	spoil(t, price, decodePrice, map[string]func(*marketplacev1.PlanPrice){
		"name": func(p *marketplacev1.PlanPrice) { p.Plan.Name = hostLine },
		"size": func(p *marketplacev1.PlanPrice) { p.Plan.Vcpus = 0 },
		"rate": func(p *marketplacev1.PlanPrice) { p.RunningUcreditPerHour = math.MaxUint64 },
	})
	image := func() *marketplacev1.Image {
		return &marketplacev1.Image{
			Name: "debian-12", Os: "debian", Version: "12", Urls: []string{"https://example.org/x"}, Sha256: make([]byte, 32), Format: "qcow2",
			SizeBytes: 1, VirtualSizeBytes: 1, Arch: "amd64", User: "hippius",
		}
	}
	spoil(t, image, decodeImage, map[string]func(*marketplacev1.Image){
		"user": func(i *marketplacev1.Image) { i.User = "-oProxyCommand=id" },
		"URL":  func(i *marketplacev1.Image) { i.Urls[0] = "gopher://x" },
		"OS":   func(i *marketplacev1.Image) { i.Os = "\x1b" },
	})
	app := func() *marketplacev1.App { return &marketplacev1.App{Name: "docker", Recipe: "x"} }
	spoil(t, app, decodeApp, map[string]func(*marketplacev1.App){
		"description": func(a *marketplacev1.App) { a.Description = "\n" },
	})
	meter := func() *marketplacev1.QueryMeterResponse {
		return &marketplacev1.QueryMeterResponse{BlockTime: 1, Meter: &marketplacev1.Meter{Rate: 1, Owed: 1, OwedAt: 1}}
	}
	spoil(t, meter, decodeStatement, map[string]func(*marketplacev1.QueryMeterResponse){
		"rate":    func(r *marketplacev1.QueryMeterResponse) { r.Meter.Rate = math.MaxUint64 },
		"carry":   func(r *marketplacev1.QueryMeterResponse) { r.Meter.Carry = 3600 },
		"owed":    func(r *marketplacev1.QueryMeterResponse) { r.Meter.Owed = math.MaxUint64 },
		"owed at": func(r *marketplacev1.QueryMeterResponse) { r.Meter.OwedAt = math.MaxInt64 },
		"ran out": func(r *marketplacev1.QueryMeterResponse) { r.Meter.RanOutAt = -1 },
		"block":   func(r *marketplacev1.QueryMeterResponse) { r.BlockTime = math.MaxInt64 },
	})
	quote := func() *marketplacev1.QueryQuoteResponse { return &marketplacev1.QueryQuoteResponse{} }
	spoil(t, quote, decodeQuote, map[string]func(*marketplacev1.QueryQuoteResponse){
		"rate": func(q *marketplacev1.QueryQuoteResponse) { q.StoppedUcreditPerHour = math.MaxUint64 },
	})
}

func TestDecodePrices(t *testing.T) {
	prices := func() *creditsv1.QueryPricesResponse {
		return &creditsv1.QueryPricesResponse{UhipPerCredit: 5, LowestUhipPerCredit: 4, HighestUhipPerCredit: 6}
	}
	spoil(t, prices, decodePrices, map[string]func(*creditsv1.QueryPricesResponse){
		"none":    func(p *creditsv1.QueryPricesResponse) { p.LowestUhipPerCredit = 0 },
		"lowest":  func(p *creditsv1.QueryPricesResponse) { p.LowestUhipPerCredit = 6 },
		"highest": func(p *creditsv1.QueryPricesResponse) { p.HighestUhipPerCredit = 4 },
	})
}

func TestDecodeParams(t *testing.T) {
	type modules struct {
		c *creditsv1.Params
		m *marketplacev1.Params
		r *registryv1.Params
		v *computev1.Params
	}
	for what, change := range map[string]func(*modules){
		"":           func(*modules) {},
		"price":      func(p *modules) { p.c.UhipPerCredit = 0 },
		"fee":        func(p *modules) { p.c.FeePerKibUcredit = math.MaxUint64 },
		"vCPU":       func(p *modules) { p.m.VcpuHourUcredit = math.MaxUint64 },
		"overcommit": func(p *modules) { p.r.CpuOvercommit = math.MaxUint32 },
		"silence":    func(p *modules) { p.r.SilenceSeconds = math.MaxUint64 },
		"gap":        func(p *modules) { p.v.MaxProofGapSeconds = math.MaxUint64 },
	} {
		p := modules{&creditsv1.Params{UhipPerCredit: 1}, &marketplacev1.Params{}, &registryv1.Params{CpuOvercommit: 100}, &computev1.Params{}}
		change(&p)
		d := &decoder{}
		_, err := done(d, "parameters", decodeParams(d, p.c, p.m, p.r, p.v))
		if what == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrAnswer, what)
	}
}

// TestLyingNode: over a real connection, what a node says wrongly is not used, and what it says of another VM neither.
func TestLyingNode(t *testing.T) {
	ch := newChain()
	ch.vms = wireVMs(3)
	ch.vms[1].Spec.Name = hostLine
	c := open(t, serve(t, ch, nil))
	_, err := c.VMs(t.Context(), wireAddress(0), false)
	require.ErrorIs(t, err, ErrAnswer)
	_, err = c.MinerVMs(t.Context(), "m", 0)
	require.ErrorIs(t, err, ErrAnswer)
	_, err = c.VMEverywhere(t.Context(), vm.ID(ch.vms[1].GetId()))
	require.ErrorIs(t, err, ErrAnswer)
	_, err = c.VM(t.Context(), vm.ID(ch.vms[0].GetId()))
	require.NoError(t, err)
	ch.swapped = ch.vms[0]
	_, err = c.VM(t.Context(), vm.ID(ch.vms[2].GetId()))
	require.ErrorIs(t, err, ErrAnswer)
	_, err = c.VMByName(t.Context(), wireAddress(0), ch.vms[2].GetSpec().GetName())
	require.ErrorIs(t, err, ErrAnswer)
}

// FuzzDecode: whatever a node answers, what comes out obeys the rules or nothing does.
func FuzzDecode(f *testing.F) {
	for i, m := range []proto.Message{wireVM(1), wireTenant(1), wireLighthouse(), wireMiner(), wireCommittee()} {
		raw, err := proto.Marshal(m)
		require.NoError(f, err)
		f.Add(i, raw)
	}
	f.Fuzz(func(t *testing.T, kind int, raw []byte) {
		switch kind {
		case 0:
			if v, ok := fuzzed(t, raw, &computev1.VM{}, decodeVM); ok {
				require.NoError(t, v.Spec.ValidateKept())
				require.Contains(t, vm.Phases(), v.Status.Phase)
				require.NoError(t, v.WantedSize().Validate())
			}
		case 1:
			if v, ok := fuzzed(t, raw, &meshv1.Tenant{}, decodeTenant); ok && len(v.Networks) > 0 {
				require.Equal(t, v.Block.Networks(), v.Networks)
			}
		case 2:
			if v, ok := fuzzed(t, raw, &meshv1.Lighthouse{}, decodeLighthouse); ok {
				require.True(t, v.Address.IsValid())
			}
		case 3:
			if v, ok := fuzzed(t, raw, &registryv1.Miner{}, decodeMiner); ok {
				require.NoError(t, v.Validate())
			}
		case 4:
			if v, ok := fuzzed(t, raw, &registryv1.Committee{}, decodeCommittee); ok {
				require.LessOrEqual(t, int(v.Threshold), len(v.Keepers))
			}
		case 5:
			_, _ = fuzzed(t, raw, &marketplacev1.QueryMeterResponse{}, decodeStatement)
		case 6:
			_, _ = fuzzed(t, raw, &computev1.QueryMinerVMsResponse{}, decodeMinerChanges)
		}
	})
}

func fuzzed[F proto.Message, T any](t *testing.T, raw []byte, m F, decode func(*decoder, F) T) (T, bool) {
	t.Helper()
	var none T
	if proto.Unmarshal(raw, m) != nil {
		return none, false
	}
	v, err := one("answer", nil, m, decode)
	if err != nil && (strings.ContainsAny(err.Error(), "\n\x1b\x00") || len(err.Error()) > 2000) {
		t.Errorf("the error is not fit to print: %q", err)
	}
	return v, err == nil
}
