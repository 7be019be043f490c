package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	authv1beta1 "github.com/hippius/compute/api/cosmos/auth/v1beta1"
	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	queryv1beta1 "github.com/hippius/compute/api/cosmos/base/query/v1beta1"
	cmtv1beta1 "github.com/hippius/compute/api/cosmos/base/tendermint/v1beta1"
	secp256k1v1 "github.com/hippius/compute/api/cosmos/crypto/secp256k1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/api/descriptors"
	"github.com/hippius/compute/api/tendermint/p2p"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/wallet"
)

const testChain = "test-1"

// chain is a small working chain: it checks signatures and sequence numbers at the door and again in its blocks,
// which it makes when told, and keeps SSH keys, the VMs of a miner and tenants.
type chain struct {
	id string

	mu       sync.Mutex
	height   int64
	accounts map[string]*account
	checked  map[string]uint64 // sequence the mempool expects
	mempool  [][]byte
	results  map[string]*abciv1beta1.TxResponse
	keys     map[string][]*computev1.SSHKey
	vms      []*computev1.VM // by changed height
	tenants  []*meshv1.Tenant
	swapped  *computev1.VM // told in place of any VM
	oldest   int64
	calls    map[string]int
	lose     int // how many next transactions to take and then drop
}

func newChain() *chain {
	return &chain{
		id: testChain, height: 1, accounts: map[string]*account{}, checked: map[string]uint64{},
		results: map[string]*abciv1beta1.TxResponse{}, keys: map[string][]*computev1.SSHKey{}, calls: map[string]int{},
	}
}

func (c *chain) count(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[method]++
}

func (c *chain) fund(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounts[address] = &account{number: uint64(len(c.accounts)) + 7}
}

func (c authQueries) AccountInfo(_ context.Context, r *authv1beta1.QueryAccountInfoRequest) (*authv1beta1.QueryAccountInfoResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.accounts[r.GetAddress()]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "account %s not found", r.GetAddress())
	}
	return &authv1beta1.QueryAccountInfoResponse{Info: &authv1beta1.BaseAccount{
		Address: r.GetAddress(), AccountNumber: a.number, Sequence: a.sequence,
	}}, nil
}

func (c nodeQueries) GetNodeInfo(context.Context, *cmtv1beta1.GetNodeInfoRequest) (*cmtv1beta1.GetNodeInfoResponse, error) {
	return &cmtv1beta1.GetNodeInfoResponse{DefaultNodeInfo: &p2p.DefaultNodeInfo{Network: c.id}}, nil
}

// check is the ante handler; it gives the signer's address.
func (c *chain) check(raw []byte, expect func(addr string) uint64) (addr string, body *txv1beta1.TxBody, code uint32, log string) {
	var tx txv1beta1.TxRaw
	body = &txv1beta1.TxBody{}
	var auth txv1beta1.AuthInfo
	if proto.Unmarshal(raw, &tx) != nil || proto.Unmarshal(tx.GetBodyBytes(), body) != nil || proto.Unmarshal(tx.GetAuthInfoBytes(), &auth) != nil {
		return "", nil, 2, "tx parse error"
	}
	var pub secp256k1v1.PubKey
	info := auth.GetSignerInfos()[0]
	if info.GetPublicKey().GetTypeUrl() != "/cosmos.crypto.secp256k1.PubKey" || proto.Unmarshal(info.GetPublicKey().GetValue(), &pub) != nil {
		return "", nil, 8, "invalid pubkey"
	}
	addr, err := wallet.Address(pub.GetKey())
	if err != nil {
		return "", nil, 8, err.Error()
	}
	acc, ok := c.accounts[addr]
	if !ok {
		return "", nil, 9, "unknown address"
	}
	if want := expect(addr); info.GetSequence() != want {
		return "", nil, 32, fmt.Sprintf("account sequence mismatch, expected %d, got %d: incorrect account sequence", want, info.GetSequence())
	}
	doc, err := proto.Marshal(&txv1beta1.SignDoc{BodyBytes: tx.GetBodyBytes(), AuthInfoBytes: tx.GetAuthInfoBytes(), ChainId: c.id, AccountNumber: acc.number})
	if err != nil {
		return "", nil, 2, err.Error()
	}
	digest := sha256.Sum256(doc)
	if len(tx.GetSignatures()) != 1 || !wallet.Verify(pub.GetKey(), digest[:], tx.GetSignatures()[0]) || auth.GetFee().GetGasLimit() == 0 {
		return "", nil, 4, "signature verification failed: unauthorized"
	}
	return addr, body, 0, ""
}

func (c txService) BroadcastTx(_ context.Context, r *txv1beta1.BroadcastTxRequest) (*txv1beta1.BroadcastTxResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	addr, _, code, log := c.check(r.GetTxBytes(), func(addr string) uint64 { return max(c.checked[addr], c.accounts[addr].sequence) })
	resp := &abciv1beta1.TxResponse{Txhash: txHash(r.GetTxBytes()), Code: code, RawLog: log}
	switch {
	case code != 0:
		resp.Codespace = "sdk"
	case c.lose > 0:
		c.lose--
	default:
		c.checked[addr] = max(c.checked[addr], c.accounts[addr].sequence) + 1
		c.mempool = append(c.mempool, r.GetTxBytes())
	}
	return &txv1beta1.BroadcastTxResponse{TxResponse: resp}, nil
}

func (c txService) GetTx(_ context.Context, r *txv1beta1.GetTxRequest) (*txv1beta1.GetTxResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	res, ok := c.results[r.GetHash()]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "tx not found: %s", r.GetHash())
	}
	return &txv1beta1.GetTxResponse{TxResponse: res}, nil
}

// block carries out what is in the mempool.
func (c *chain) block() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height++
	for _, raw := range c.mempool {
		res := &abciv1beta1.TxResponse{Height: c.height, Txhash: txHash(raw)}
		addr, body, code, log := c.check(raw, func(addr string) uint64 { return c.accounts[addr].sequence })
		if code != 0 {
			res.Codespace, res.Code, res.RawLog = "sdk", code, log
		} else {
			c.accounts[addr].sequence++
			c.execute(addr, body, res)
		}
		c.results[res.GetTxhash()] = res
	}
	c.mempool = nil
	c.checked = map[string]uint64{}
}

func (c *chain) execute(addr string, body *txv1beta1.TxBody, res *abciv1beta1.TxResponse) {
	var answers abciv1beta1.TxMsgData
	for i, packed := range body.GetMessages() {
		m, err := anypb.UnmarshalNew(packed, proto.UnmarshalOptions{Resolver: descriptors.Types})
		add, ok := m.(*computev1.MsgAddSSHKey)
		if err != nil || !ok || add.GetOwner() != addr {
			res.Codespace, res.Code, res.RawLog = "sdk", 6, "unknown request"
			return
		}
		for _, k := range c.keys[addr] {
			if k.GetName() == add.GetName() {
				res.Codespace, res.Code = "compute", 7
				res.RawLog = fmt.Sprintf("failed to execute message; message index: %d: the name %s is taken; choose another: name taken", i, add.GetName())
				return
			}
		}
		fingerprint := "SHA256:" + add.GetName()
		line, _ := wireKeyLine(1)
		c.keys[addr] = append(c.keys[addr], &computev1.SSHKey{Owner: addr, Name: add.GetName(), PublicKey: line, Fingerprint: fingerprint})
		value, err := proto.Marshal(&computev1.MsgAddSSHKeyResponse{Fingerprint: fingerprint})
		if err != nil {
			panic(err)
		}
		answers.MsgResponses = append(answers.MsgResponses, &anypb.Any{TypeUrl: "/hippius.chain.compute.v1.MsgAddSSHKeyResponse", Value: value})
	}
	data, err := proto.Marshal(&answers)
	if err != nil {
		panic(err)
	}
	res.Data = strings.ToUpper(hex.EncodeToString(data))
}

func txHash(raw []byte) string {
	sum := sha256.Sum256(raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// The services answer from the same chain.
type (
	authQueries struct {
		authv1beta1.UnimplementedQueryServer
		*chain
	}
	nodeQueries struct {
		cmtv1beta1.UnimplementedServiceServer
		*chain
	}
	txService struct {
		txv1beta1.UnimplementedServiceServer
		*chain
	}
	meshQueries struct {
		meshv1.UnimplementedQueryServer
		*chain
	}
	computeQueries struct {
		computev1.UnimplementedQueryServer
		*chain
	}
)

func (q computeQueries) SSHKeys(_ context.Context, r *computev1.QuerySSHKeysRequest) (*computev1.QuerySSHKeysResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return &computev1.QuerySSHKeysResponse{Keys: q.keys[r.GetOwner()]}, nil
}

func (q computeQueries) VM(_ context.Context, r *computev1.QueryVMRequest) (*computev1.QueryVMResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.swapped != nil {
		return &computev1.QueryVMResponse{Vm: q.swapped, Height: q.height}, nil
	}
	for _, v := range q.vms {
		if v.GetId() == r.GetId() || r.GetName() != "" && v.GetSpec().GetName() == r.GetName() && v.GetOwner() == r.GetOwner() {
			return &computev1.QueryVMResponse{Vm: v, Height: q.height}, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "no VM %s", r.GetId())
}

func (q computeQueries) VMs(_ context.Context, r *computev1.QueryVMsRequest) (*computev1.QueryVMsResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := 0
	if k := r.GetPagination().GetKey(); len(k) > 0 {
		from = int(k[0])<<8 | int(k[1])
	}
	to := min(len(q.vms), from+int(r.GetPagination().GetLimit()))
	page := &queryv1beta1.PageResponse{}
	if to < len(q.vms) {
		page.NextKey = []byte{byte(to >> 8), byte(to)}
	}
	return &computev1.QueryVMsResponse{Vms: q.vms[from:to], Pagination: page}, nil
}

func (q computeQueries) MinerVMs(_ context.Context, r *computev1.QueryMinerVMsRequest) (*computev1.QueryMinerVMsResponse, error) {
	q.count("MinerVMs")
	q.mu.Lock()
	defer q.mu.Unlock()
	out := &computev1.QueryMinerVMsResponse{Height: q.height, OldestHeight: q.oldest, Head: &computev1.Head{Height: q.height, Hash: make([]byte, hashSize)}}
	for _, v := range q.vms {
		after := v.GetChangedHeight() > r.GetAfterHeight() || v.GetChangedHeight() == r.GetAfterHeight() && r.GetAfterId() != "" && v.GetId() > r.GetAfterId()
		if r.GetAll() {
			after = v.GetId() > r.GetAfterId()
		}
		if !after {
			continue
		}
		if len(out.GetVms()) == int(r.GetLimit()) {
			out.More = true
			break
		}
		out.Vms = append(out.Vms, v)
	}
	return out, nil
}

func (q meshQueries) Tenants(_ context.Context, r *meshv1.QueryTenantsRequest) (*meshv1.QueryTenantsResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := &meshv1.QueryTenantsResponse{Height: q.height}
	for _, v := range q.tenants {
		if v.GetChangedHeight() > r.GetAfterHeight() || v.GetChangedHeight() == r.GetAfterHeight() && v.GetOwner() > r.GetAfterOwner() && r.GetAfterOwner() != "" {
			if len(out.GetTenants()) == int(r.GetLimit()) {
				out.More = true
				break
			}
			out.Tenants = append(out.Tenants, v)
		}
	}
	return out, nil
}

// serve offers c on loopback, behind an identity key or, without one, plain.
func serve(t *testing.T, c *chain, key ed25519.PrivateKey) Endpoint {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	require.NoError(t, err)
	register := func(s grpc.ServiceRegistrar) {
		authv1beta1.RegisterQueryServer(s, authQueries{chain: c})
		cmtv1beta1.RegisterServiceServer(s, nodeQueries{chain: c})
		txv1beta1.RegisterServiceServer(s, txService{chain: c})
		computev1.RegisterQueryServer(s, computeQueries{chain: c})
		meshv1.RegisterQueryServer(s, meshQueries{chain: c})
	}
	done := make(chan error, 1)
	if key == nil {
		s := grpc.NewServer()
		register(s)
		go func() { done <- s.Serve(l) }()
		t.Cleanup(func() { s.Stop(); require.NoError(t, <-done) })
		return Endpoint{Address: l.Addr().String(), Plain: true}
	}
	s := peer.NewServer(key)
	register(s)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); require.NoError(t, <-done) })
	pub, ok := key.Public().(ed25519.PublicKey)
	require.True(t, ok)
	return Endpoint{Address: l.Addr().String(), Identity: hex.EncodeToString(pub)}
}

// blocks makes blocks until the test ends.
func blocks(t *testing.T, c *chain, every time.Duration) {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(every):
				c.block()
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func newWallet(t *testing.T) *wallet.Wallet {
	t.Helper()
	phrase, err := wallet.NewPhrase(rand.Reader)
	require.NoError(t, err)
	w, err := wallet.FromPhrase(phrase)
	require.NoError(t, err)
	return w
}

func open(t *testing.T, ends ...Endpoint) *Client {
	t.Helper()
	c, err := New(Config{
		Network: Network{ChainID: testChain, GRPC: ends}, Poll: 5 * time.Millisecond, Inclusion: 5 * time.Second, Call: 2 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}
