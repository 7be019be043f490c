package chaos

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
)

// nodes there are, of as many operators; every program knows them all.
const nodes = 3

// chain is the application with a mempool before it and the nodes that speak for it.
type chain struct {
	*apptest.Harness
	w *world

	mu    sync.Mutex
	pool  []*waiting
	known map[string]bool
	// swallowed were taken since the last block, and are in no pool.
	swallowed map[string]bool
	results   map[string]*abciv1beta1.TxResponse
	nth       map[string]int // transactions of a sender at a time
	lag       [nodes]int64   // blocks a node is behind
	// liar is the node that answers anything; nodes for none.
	liar int
	// dropped and late are how many of a hundred transactions vanish or wait;
	// lost is how many answers do.
	dropped, late, lost int
}

// waiting is a transaction that a node took.
type waiting struct {
	raw    []byte
	hash   string
	from   string
	at     time.Time
	n      int
	blocks int // to be left out of
}

func newChain(w *world, h *apptest.Harness) *chain {
	return &chain{Harness: h, w: w, known: map[string]bool{}, swallowed: map[string]bool{}, results: map[string]*abciv1beta1.TxResponse{}, nth: map[string]int{}}
}

// line is one program's connection to one node.
type line struct {
	c    *chain
	who  string
	node int
	god  bool // sees everything at once
}

// Close implements client.Conn.
func (l *line) Close() error { return nil }

// NewStream implements client.Conn.
func (l *line) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "the chain has no streams")
}

// Invoke implements client.Conn.
func (l *line) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	l.c.w.observe()
	in, ok1 := args.(proto.Message)
	out, ok2 := reply.(proto.Message)
	if !ok1 || !ok2 {
		return status.Errorf(codes.Internal, "%T and %T are no messages", args, reply)
	}
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	if !l.god && !l.c.w.reach(l.who, nodeName(l.node)) {
		return status.Error(codes.Unavailable, "no route to the node")
	}
	if !l.god && l.node == l.c.liar {
		return l.lie(ctx, method, in, out, opts)
	}
	return l.answer(ctx, method, in, out, opts)
}

// answer is what the node knows.
func (l *line) answer(ctx context.Context, method string, in, out proto.Message, opts []grpc.CallOption) error {
	switch m := in.(type) {
	case *txv1beta1.BroadcastTxRequest:
		return l.broadcast(m, out)
	case *txv1beta1.GetTxRequest:
		return l.find(m, out)
	}
	height, err := wantedHeight(ctx, l.height())
	if err != nil {
		return err
	}
	sayHeight(opts, height)
	return l.c.Answer(method, in, out, height)
}

// height that the node is at.
func (l *line) height() int64 {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.god {
		return l.c.Height()
	}
	return max(l.c.Height()-l.c.lag[l.node], 1)
}

// heightHeader is the SDK's.
const heightHeader = "x-cosmos-block-height"

// wantedHeight is the one that a question is about; the node's own for none.
func wantedHeight(ctx context.Context, now int64) (int64, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	asked := md.Get(heightHeader)
	if len(asked) == 0 {
		return now, nil
	}
	h, err := strconv.ParseInt(asked[0], 10, 64)
	if err != nil || h <= 0 || h > now {
		return 0, status.Errorf(codes.InvalidArgument, "the node is at height %d", now)
	}
	return h, nil
}

func sayHeight(opts []grpc.CallOption, height int64) {
	for _, o := range opts {
		if h, ok := o.(grpc.HeaderCallOption); ok {
			*h.HeaderAddr = metadata.Pairs(heightHeader, strconv.FormatInt(height, 10))
		}
	}
}

// merge gives a made answer back.
func merge(out, answer proto.Message) {
	proto.Reset(out)
	proto.Merge(out, answer)
}

// broadcast is a node's mempool.
func (l *line) broadcast(m *txv1beta1.BroadcastTxRequest, out proto.Message) error {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := sha256.Sum256(m.GetTxBytes())
	hash := strings.ToUpper(hex.EncodeToString(sum[:]))
	answer := &txv1beta1.BroadcastTxResponse{TxResponse: &abciv1beta1.TxResponse{Txhash: hash}}
	if c.known[hash] || c.swallowed[hash] { // by another node, which passed it on
		merge(out, answer)
		return nil
	}
	r := answer.TxResponse
	if r.Code, r.Codespace, r.RawLog = c.CheckRaw(m.GetTxBytes(), false); r.GetCode() != 0 {
		merge(out, answer)
		return nil
	}
	now := time.Now()
	sentAt := fmt.Sprint(l.who, now.UnixNano())
	c.nth[sentAt]++
	t := &waiting{raw: m.GetTxBytes(), hash: hash, from: l.who, at: now, n: c.nth[sentAt]}
	question := []any{l.who, now.UnixNano(), t.n}
	if !l.god {
		switch fate := c.w.chance.word(append(question, "fate")...); {
		case fate < c.dropped:
			t = nil
		case fate < c.dropped+c.late:
			t.blocks = 1 + c.w.chance.word(append(question, "blocks")...)%5
		}
	}
	if t != nil {
		c.known[hash] = true
		c.pool = append(c.pool, t)
	} else { // it is forgotten by the next block, and until then whoever is asked says the same
		c.swallowed[hash] = true
	}
	if !l.god && c.w.chance.word(append(question, l.node, "answer")...) < c.lost {
		return status.Error(codes.Unavailable, "the connection broke")
	}
	merge(out, answer)
	return nil
}

func (l *line) find(m *txv1beta1.GetTxRequest, out proto.Message) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	r := l.c.results[m.GetHash()]
	if r == nil || !l.god && r.GetHeight() > l.c.Height()-l.c.lag[l.node] {
		return status.Error(codes.NotFound, "no such transaction")
	}
	merge(out, &txv1beta1.GetTxResponse{TxResponse: r})
	return nil
}

// block makes the next one of what waits, and gives what it did.
func (c *chain) block() (done []apptest.Done, end []apptest.Event, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// By arrival; those of one time by sender: the order of goroutines is not fixed.
	slices.SortStableFunc(c.pool, func(a, b *waiting) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.from, b.from), cmp.Compare(a.n, b.n))
	})
	var in, left []*waiting
	held := map[string]bool{} // nobody's transactions overtake each other
	for _, t := range c.pool {
		if t.blocks > 0 || held[t.from] {
			t.blocks--
			held[t.from] = true
			left = append(left, t)
			continue
		}
		in = append(in, t)
	}
	raw := make([][]byte, len(in))
	for i, t := range in {
		raw[i] = t.raw
	}
	clear(c.swallowed)
	seconds := int64(time.Since(time.Unix(c.Now(), 0)) / time.Second)
	done, end = c.Block(seconds, raw...)
	for i, d := range done {
		c.results[in[i].hash] = c.Response(in[i].hash, d)
	}
	c.pool = left[:0]
	for _, t := range left {
		if code, _, _ := c.CheckRaw(t.raw, true); code == 0 {
			c.pool = append(c.pool, t)
		}
	}
	if c.Now() != time.Now().Unix() {
		err = errors.New("the chain's clock and the world's are not one")
	}
	return done, end, err
}

func nodeName(i int) string { return fmt.Sprintf("node%d", i) }

// network is the profile every program has: its nodes are strangers'. God's are his own.
func network(god bool) client.Network {
	n := client.Network{Name: "chaos", ChainID: apptest.ChainID}
	for i := range nodes {
		n.GRPC = append(n.GRPC, client.Endpoint{
			Address: fmt.Sprintf("203.0.113.%d:9000", i+1), Identity: fmt.Sprintf("%064x", i+1), Trusted: god,
		})
	}
	return n
}

// client is one program's, fresh as after a restart.
func (c *chain) client(who string, god bool) *client.Client {
	var conns []client.Conn
	for i := range nodes {
		conns = append(conns, &line{c: c, who: who, node: i, god: god})
	}
	cl, err := client.Over(client.Config{Network: network(god), Poll: time.Second, Inclusion: 20500 * time.Millisecond}, conns...)
	if err != nil {
		panic(err) // the profile above is fixed
	}
	return cl
}
