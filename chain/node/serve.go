package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/server"
	"github.com/cosmos/cosmos-sdk/server/config"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	"google.golang.org/grpc"

	chainv1 "github.com/hippius/compute/api/node/chain/v1"
	"github.com/hippius/compute/internal/peer"
)

const (
	// maxRequest bounds one request, in bytes: a transaction and what is around it.
	maxRequest = 1 << 20
	// callsPerSecond bounds the calls of one identity key, with as many again in a burst.
	callsPerSecond = 500
)

// registerServices adds what a node offers beside the modules' queries: sending, finding and trying transactions, blocks, its state.
func (n *Node) registerServices(comet client.CometRPC) {
	a, registry := n.app, n.app.InterfaceRegistry()
	c := client.Context{}.WithCodec(codec.NewProtoCodec(registry)).WithInterfaceRegistry(registry).WithTxConfig(a.TxConfig()).
		WithChainID(a.ChainID()).WithClient(comet)
	txtypes.RegisterServiceServer(a.GRPCQueryRouter(), newSimulations(authtx.NewTxServer(c, a.Simulate, registry), a.TxDecode, a.Try))
	cmtservice.RegisterTendermintService(c, a.GRPCQueryRouter(), registry, server.NewCometABCIWrapper(a).Query)
	nodeservice.RegisterNodeService(c, a.GRPCQueryRouter(), *config.DefaultConfig(), a.CommitMultiStore().EarliestVersion)
}

// grpcCodec encodes the SDK's types, some of which plain protobuf does not know.
func (n *Node) grpcCodec() grpc.ServerOption {
	return grpc.ForceServerCodec(codec.NewProtoCodec(n.app.InterfaceRegistry()).GRPCCodec())
}

// serve opens the node's own interfaces.
func (n *Node) serve(ctx context.Context, identity ed25519.PrivateKey) error {
	if n.config.GRPC != "" {
		s := peer.NewServer(identity, peer.MaxMessage(maxRequest), peer.RatePerIdentity(callsPerSecond, callsPerSecond),
			peer.WithLogger(n.log), peer.WithMetrics(n.observer.Peer()), peer.WithGRPC(n.grpcCodec()))
		n.register(s)
		addr, err := n.listen(ctx, n.config.GRPC, s.Serve, func(ctx context.Context) { s.Close(ctx) })
		if err != nil {
			return fmt.Errorf("gRPC: %w", err)
		}
		n.grpcAddr = addr
	}
	if n.config.GRPCPlain != "" {
		s := grpc.NewServer(grpc.MaxRecvMsgSize(maxRequest), n.grpcCodec())
		n.register(s)
		addr, err := n.listen(ctx, n.config.GRPCPlain, s.Serve, func(context.Context) { s.Stop() })
		if err != nil {
			return fmt.Errorf("plain gRPC: %w", err)
		}
		n.plainAddr = addr
	}
	return n.observe(ctx)
}

// register adds all that the node answers to a server.
func (n *Node) register(s grpc.ServiceRegistrar) {
	n.app.RegisterGRPCServerWithSkipCheckHeader(registrar{s}, true)
	chainv1.RegisterChainServer(registrar{s}, n.about)
}

// listen serves on an address until the node closes.
func (n *Node) listen(ctx context.Context, addr string, serve func(net.Listener) error, stop func(context.Context)) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	n.onClose(func(ctx context.Context) error {
		stop(ctx)
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	})
	return l.Addr().String(), nil
}

// observe shows the node to its operator.
func (n *Node) observe(ctx context.Context) error {
	if n.config.Observe == "" {
		return nil
	}
	o := n.observer
	n.figures(o)
	o.Ready("consensus", func() error {
		if n.comet.ConsensusReactor().WaitSync() {
			return errors.New("catching up with the network")
		}
		return nil
	})
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	_, err := n.listen(ctx, n.config.Observe, func(l net.Listener) error { return o.Serve(serving, l) }, func(context.Context) { end() })
	if err != nil {
		end()
		return fmt.Errorf("observe: %w", err)
	}
	return nil
}

// registrar registers the app's services so that the server's interceptor sees
// their calls too; the SDK leaves it out. The interceptor does not see the
// request, which is decoded after it.
type registrar struct{ grpc.ServiceRegistrar }

// RegisterService implements the registration.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, service any) {
	d := *desc
	d.Methods = slices.Clone(desc.Methods)
	for i, m := range d.Methods {
		info := grpc.UnaryServerInfo{Server: service, FullMethod: "/" + desc.ServiceName + "/" + m.MethodName}
		d.Methods[i].Handler = func(srv any, ctx context.Context, dec func(any) error, outer grpc.UnaryServerInterceptor) (any, error) {
			if outer == nil {
				return m.Handler(srv, ctx, dec, nil)
			}
			return outer(ctx, nil, &info, func(ctx context.Context, _ any) (any, error) { return m.Handler(srv, ctx, dec, nil) })
		}
	}
	r.ServiceRegistrar.RegisterService(&d, service)
}
