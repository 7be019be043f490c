package apptest

import (
	"encoding/hex"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
)

// Answer asks the chain as it was at a height, as Ask does, in a client's messages.
func (h *Harness) Answer(method string, in, out proto.Message, height int64) error {
	request, err := proto.Marshal(in)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	answer, err := h.Ask(method, request, height)
	if err != nil {
		return err
	}
	return proto.Unmarshal(answer, out)
}

// Response is what a client is told of a transaction that is in the present block.
func (h *Harness) Response(hash string, d Done) *abciv1beta1.TxResponse {
	return &abciv1beta1.TxResponse{
		Height: h.Height(), Txhash: hash, Code: d.Code, Codespace: d.Codespace, RawLog: d.Log, Data: hex.EncodeToString(d.Data),
	}
}
