package apptest

import (
	"context"
	"errors"
	"fmt"

	errorsmod "cosmossdk.io/errors"
	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/cosmos-sdk/client"
	clienttx "github.com/cosmos/cosmos-sdk/client/tx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	"github.com/cosmos/gogoproto/proto"

	chainclient "github.com/hippius/compute/chain/client"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// Gas is the limit of every transaction here, which its fee is for. Batches of reports have that of a miner.
const Gas = 2_000_000

// gasFor is the limit of a transaction of msgs.
func gasFor(msgs []sdk.Msg) uint64 {
	if len(msgs) == 1 {
		if m, ok := msgs[0].(*computetypes.MsgReportVM); ok {
			return chainclient.ReportGas(len(m.Reports))
		}
	}
	return Gas
}

// Fee of a transaction made by Sign that is not free, by the default parameters, in ucredit.
func Fee(tx []byte) uint64 {
	fee, err := creditstypes.DefaultParams().Fees().Of(Gas, uint64(len(tx)))
	if err != nil {
		panic(err) // no transaction is that large
	}
	return fee
}

// Result of a transaction that was executed.
type Result struct {
	*abci.ExecTxResult
	// Responses of the messages, encoded.
	responses []*anyValue
}

type anyValue struct {
	url   string
	value []byte
}

// Response decodes the i-th message's response.
func (r *Result) Response(i int, into proto.Message) error {
	if i >= len(r.responses) {
		return fmt.Errorf("the transaction has %d responses", len(r.responses))
	}
	return proto.Unmarshal(r.responses[i].value, into)
}

// Deliver runs a block with one transaction of the signer, at the present
// second. The error of a transaction that failed matches the registered one.
func (h *Harness) Deliver(signer Account, msgs ...sdk.Msg) (*Result, error) {
	h.t.Helper()
	results, err := h.DeliverAll(h.Sign(signer, msgs...))
	if err != nil {
		return nil, err
	}
	return results[0], Outcome(results[0])
}

// MustDeliver is Deliver of a transaction that must go through.
func (h *Harness) MustDeliver(signer Account, msgs ...sdk.Msg) *Result {
	h.t.Helper()
	r, err := h.Deliver(signer, msgs...)
	if err != nil {
		h.t.Fatalf("%s: %T of %s: %v", h, msgs[0], signer.Name, err)
	}
	return r
}

// DeliverAll runs one block with the transactions, made by Sign.
func (h *Harness) DeliverAll(txs ...[]byte) ([]*Result, error) {
	h.t.Helper()
	res := h.block(0, txs...)
	results := make([]*Result, 0, len(txs))
	for _, r := range res.TxResults {
		var data sdk.TxMsgData
		if err := proto.Unmarshal(r.Data, &data); err != nil {
			return nil, err
		}
		out := &Result{ExecTxResult: r}
		for _, m := range data.MsgResponses {
			out.responses = append(out.responses, &anyValue{m.TypeUrl, m.Value})
		}
		results = append(results, out)
	}
	return results, nil
}

// Outcome is the error of a transaction that was executed and failed; it matches the registered one.
func Outcome(r *Result) error {
	if r.Code == abci.CodeTypeOK {
		return nil
	}
	return errorsmod.ABCIError(r.Codespace, r.Code, r.Log)
}

// Check is the outcome of a transaction's first check, as a node makes it before it spreads it.
func (h *Harness) Check(tx []byte) error {
	res, err := h.App.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_New})
	if err != nil {
		return err
	}
	if res.Code != abci.CodeTypeOK {
		return errorsmod.ABCIError(res.Codespace, res.Code, res.Log)
	}
	return nil
}

// Sign makes a transaction, with the sequence the signer has after those it
// signed before in this block.
func (h *Harness) Sign(signer Account, msgs ...sdk.Msg) []byte {
	h.t.Helper()
	bz, err := h.sign(signer, func(client.TxBuilder) {}, msgs...)
	if err != nil {
		h.t.Fatal(err)
	}
	return bz
}

// SignWith is Sign after changing the transaction.
func (h *Harness) SignWith(signer Account, change func(client.TxBuilder), msgs ...sdk.Msg) []byte {
	h.t.Helper()
	bz, err := h.sign(signer, change, msgs...)
	if err != nil {
		h.t.Fatal(err)
	}
	return bz
}

func (h *Harness) sign(signer Account, change func(client.TxBuilder), msgs ...sdk.Msg) ([]byte, error) {
	cfg := h.App.TxConfig()
	var number, sequence uint64
	if acc := h.App.Keepers.Auth.GetAccount(h.Ctx(), signer.Acc()); acc != nil {
		number, sequence = acc.GetAccountNumber(), acc.GetSequence()
	}
	key := fmt.Sprintf("%s/%d", signer.Address, h.Height())
	sequence += h.sequences[key]
	h.sequences[key]++

	b := cfg.NewTxBuilder()
	b.SetGasLimit(gasFor(msgs))
	if err := b.SetMsgs(msgs...); err != nil {
		return nil, err
	}
	change(b)
	sig := signing.SignatureV2{
		PubKey: signer.Key.PubKey(), Sequence: sequence,
		Data: &signing.SingleSignatureData{SignMode: signing.SignMode_SIGN_MODE_DIRECT},
	}
	if err := b.SetSignatures(sig); err != nil {
		return nil, err
	}
	data := authsigning.SignerData{ChainID: ChainID, AccountNumber: number, Sequence: sequence, PubKey: signer.Key.PubKey(), Address: signer.Address}
	sig, err := clienttx.SignWithPrivKey(context.Background(), signing.SignMode_SIGN_MODE_DIRECT, data, b, signer.Key, cfg, sequence)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(b.SetSignatures(sig)); err != nil {
		return nil, err
	}
	return cfg.TxEncoder()(b.GetTx())
}
