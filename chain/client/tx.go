package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	secp256k1v1 "github.com/hippius/compute/api/cosmos/crypto/secp256k1"
	govv1 "github.com/hippius/compute/api/cosmos/gov/v1"
	signingv1beta1 "github.com/hippius/compute/api/cosmos/tx/signing/v1beta1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/api/descriptors"
)

// Result of a transaction that was carried out.
type Result struct {
	Hash   string
	Height int64
	// GasUsed tells how much of Config.Gas it took.
	GasUsed int64
	// Responses answer the messages, in order.
	Responses []proto.Message
}

// account is what a signature needs beside the key.
type account struct {
	number   uint64
	sequence uint64
}

// Gas that transactions are given, which their fee is for: one and a half times to four times what they were seen to take.
const (
	baseGas           = 300_000
	lightGas          = 150_000 // of what writes little
	heavyGas          = 1_000_000
	gasPerMore        = 150_000 // of each message beside the first
	gasPerReport      = 75_000  // the chain takes at most 60 000, and 10 a byte
	gasPerInstance    = 50_000
	gasPerReceipt     = 8_000
	gasPerFingerprint = 20_000
)

// gasFor bounds what msgs take.
func gasFor(msgs []proto.Message) uint64 {
	gas := uint64(baseGas)
	if len(msgs) == 1 {
		switch msgs[0].(type) {
		case *computev1.MsgAddSSHKey, *computev1.MsgRebootVM, *computev1.MsgRenameVM, *meshv1.MsgAddDevice:
			gas = lightGas
		case *govv1.MsgSubmitProposal, *registryv1.MsgRegisterKeeper: // these look at all proposals, or all keepers
			gas = heavyGas
		}
	}
	gas += gasPerMore * uint64(max(len(msgs), 1)-1)
	for _, m := range msgs {
		if r, ok := m.(interface{ GetReports() []*computev1.VMReport }); ok {
			gas += gasPerReport * uint64(len(r.GetReports()))
		}
		if f, ok := m.(interface{ GetFingerprints() [][]byte }); ok {
			gas += gasPerFingerprint * uint64(len(f.GetFingerprints()))
		}
		i, ok := m.(interface{ GetInstances() []*computev1.Instance })
		if !ok {
			continue
		}
		for _, instance := range i.GetInstances() {
			gas += gasPerInstance + gasPerReceipt*uint64(len(instance.GetReceipts()))
		}
	}
	return gas
}

// encodeTx makes a signed transaction (sign mode direct) and its hash.
func encodeTx(signer Signer, chainID string, acc account, gas uint64, msgs []proto.Message) (raw []byte, hash string, err error) {
	body := &txv1beta1.TxBody{}
	for _, m := range msgs {
		packed, err := pack(m)
		if err != nil {
			return nil, "", err
		}
		body.Messages = append(body.Messages, packed)
	}
	pub, err := pack(&secp256k1v1.PubKey{Key: signer.PublicKey()})
	if err != nil {
		return nil, "", err
	}
	direct := &txv1beta1.ModeInfo_Single_{Single: &txv1beta1.ModeInfo_Single{Mode: signingv1beta1.SignMode_SIGN_MODE_DIRECT}}
	auth := &txv1beta1.AuthInfo{
		SignerInfos: []*txv1beta1.SignerInfo{{PublicKey: pub, ModeInfo: &txv1beta1.ModeInfo{Sum: direct}, Sequence: acc.sequence}},
		Fee:         &txv1beta1.Fee{GasLimit: gas},
	}
	deterministic := proto.MarshalOptions{Deterministic: true}
	bodyBytes, err1 := deterministic.Marshal(body)
	authBytes, err2 := deterministic.Marshal(auth)
	signBytes, err3 := deterministic.Marshal(&txv1beta1.SignDoc{
		BodyBytes: bodyBytes, AuthInfoBytes: authBytes, ChainId: chainID, AccountNumber: acc.number,
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, "", fmt.Errorf("encode transaction: %w", err)
	}
	digest := sha256.Sum256(signBytes)
	sig, err := signer.Sign(digest[:])
	if err != nil {
		return nil, "", fmt.Errorf("sign transaction: %w", err)
	}
	raw, err = deterministic.Marshal(&txv1beta1.TxRaw{BodyBytes: bodyBytes, AuthInfoBytes: authBytes, Signatures: [][]byte{sig}})
	if err != nil {
		return nil, "", fmt.Errorf("encode transaction: %w", err)
	}
	sum := sha256.Sum256(raw)
	return raw, strings.ToUpper(hex.EncodeToString(sum[:])), nil
}

// pack is an Any with the type URL the chain expects: "/" and the full name.
func pack(m proto.Message) (*anypb.Any, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return &anypb.Any{TypeUrl: "/" + string(m.ProtoReflect().Descriptor().FullName()), Value: value}, nil
}

// broadcast hands a transaction to a node's mempool. A node that has it already is content.
func (c *Client) broadcast(ctx context.Context, raw []byte) error {
	resp, err := c.tx.BroadcastTx(ctx, &txv1beta1.BroadcastTxRequest{TxBytes: raw, Mode: txv1beta1.BroadcastMode_BROADCAST_MODE_SYNC})
	if err != nil {
		return queryError("send transaction", err)
	}
	r := resp.GetTxResponse()
	if r.GetCode() == 0 || refusalOf(r.GetCodespace(), r.GetCode()) == inMempool {
		return nil
	}
	return refusal(r.GetCodespace(), r.GetCode(), r.GetRawLog(), "")
}

// WaitTx blocks until the transaction is in a block and gives its result, or an *Error if it failed there, or an
// *InDoubtError after Config.Inclusion or when ctx ends.
func (c *Client) WaitTx(ctx context.Context, hash string) (*Result, error) {
	wait, cancel := context.WithTimeout(ctx, c.set.Inclusion)
	defer cancel()
	// A block that is near is not waited for longer than need be.
	pause := c.set.Poll / 4
	tick := time.NewTimer(pause)
	defer tick.Stop()
	var last error
	for {
		resp, err := c.tx.GetTx(wait, &txv1beta1.GetTxRequest{Hash: hash})
		if err == nil {
			return result(resp.GetTxResponse())
		}
		if err := queryError("ask for transaction", err); !errors.Is(err, ErrNotFound) && wait.Err() == nil {
			last = err
		}
		select {
		case <-wait.Done():
			return nil, &InDoubtError{TxHash: hash, Cause: errors.Join(context.Cause(wait), last)}
		case <-tick.C:
			pause = min(pause*3/2, c.set.Poll)
			tick.Reset(pause)
		}
	}
}

func result(r *abciv1beta1.TxResponse) (*Result, error) {
	if r.GetCode() != 0 {
		return nil, refusal(r.GetCodespace(), r.GetCode(), r.GetRawLog(), r.GetTxhash())
	}
	out := &Result{Hash: r.GetTxhash(), Height: r.GetHeight(), GasUsed: r.GetGasUsed()}
	data, err := hex.DecodeString(r.GetData())
	if err != nil {
		return nil, fmt.Errorf("transaction %s: decode result: %w", out.Hash, err)
	}
	var msgs abciv1beta1.TxMsgData
	if err := proto.Unmarshal(data, &msgs); err != nil {
		return nil, fmt.Errorf("transaction %s: decode result: %w", out.Hash, err)
	}
	for _, packed := range msgs.GetMsgResponses() {
		m, err := anypb.UnmarshalNew(packed, proto.UnmarshalOptions{Resolver: descriptors.Types})
		if err != nil {
			return nil, fmt.Errorf("transaction %s: decode result: %w", out.Hash, err)
		}
		out.Responses = append(out.Responses, m)
	}
	return out, nil
}
