package minerchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/chain/app/apptest"
)

// node answers as the chain's nodes do, and makes a block of each transaction as it comes.
type node struct {
	*apptest.Harness
	results map[string]*abciv1beta1.TxResponse
}

// Close implements client.Conn.
func (n *node) Close() error { return nil }

// NewStream implements client.Conn.
func (n *node) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the chain has no streams")
}

// Invoke implements client.Conn.
func (n *node) Invoke(_ context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	in, ok1 := args.(proto.Message)
	out, ok2 := reply.(proto.Message)
	if !ok1 || !ok2 {
		return status.Errorf(codes.Internal, "%T and %T are no messages", args, reply)
	}
	switch m := in.(type) {
	case *txv1beta1.BroadcastTxRequest:
		proto.Merge(out, &txv1beta1.BroadcastTxResponse{TxResponse: n.take(m.GetTxBytes())})
		return nil
	case *txv1beta1.GetTxRequest:
		r := n.results[m.GetHash()]
		if r == nil {
			return status.Error(codes.NotFound, "no such transaction")
		}
		proto.Merge(out, &txv1beta1.GetTxResponse{TxResponse: r})
		return nil
	}
	return n.Answer(method, in, out, n.Height())
}

// take checks a transaction and makes a block of it, a second after the last.
func (n *node) take(raw []byte) *abciv1beta1.TxResponse {
	sum := sha256.Sum256(raw)
	r := &abciv1beta1.TxResponse{Txhash: strings.ToUpper(hex.EncodeToString(sum[:]))}
	if r.Code, r.Codespace, r.RawLog = n.CheckRaw(raw, false); r.GetCode() != 0 {
		return r
	}
	done, _ := n.Block(1, raw)
	n.results[r.GetTxhash()] = n.Response(r.GetTxhash(), done[0])
	return r
}
