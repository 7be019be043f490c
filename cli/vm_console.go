package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/api/node/grants"
	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
)

const (
	grantLife = 10 * time.Minute
	// escape ends a console session: Ctrl-].
	escape       = 0x1d
	consoleChunk = 4 << 10
	lastWords    = time.Second
	// maxRefusal bounds what is shown of a host's words, in bytes.
	maxRefusal = 300
)

func (c *command) vmConsole() *cobra.Command {
	return &cobra.Command{
		Use: "console VM", Short: "Connect to the serial console of a VM",
		Long: `Connect to the serial console of a VM, through its host. It works without a network
or an agent in the VM. Press Ctrl-] to disconnect.`,
		Example: "  hippius vm console web-1", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.atMiner(cmd.Context(), args[0], func(ctx context.Context, m *atMiner) error { return c.console(ctx, m) })
		},
	}
}

func (c *command) vmLogs() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs VM", Short: "Show the serial console log of a VM",
		Long:    "Show the newest part, at most 1 MiB, of the serial console log of a VM.",
		Example: "  hippius vm logs web-1\n  hippius vm logs web-1 --follow", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeVM,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.atMiner(cmd.Context(), args[0], func(ctx context.Context, m *atMiner) error {
				stream, err := m.client.Logs(ctx, &minerv1.LogsRequest{Grant: m.grant, VmId: string(m.vmID), Follow: follow})
				if err != nil {
					return hostError(ctx, "read log", err)
				}
				for {
					part, err := stream.Recv()
					if errors.Is(err, io.EOF) || err != nil && ctx.Err() != nil && follow {
						return nil
					}
					if err != nil {
						return hostError(ctx, "read log", err)
					}
					if _, err := c.env.Out.Write(part.GetOutput()); err != nil {
						return fmt.Errorf("write log: %w", err)
					}
				}
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing new output")
	return cmd
}

// atMiner is a connection to the host of one VM.
type atMiner struct {
	client minerv1.MinerClient
	grant  *grantv1.Grant
	vmID   vm.ID
}

// atMiner connects to the host that holds the VM, which must prove the
// identity it has on chain, with a grant that the wallet signs for it.
func (c *command) atMiner(ctx context.Context, ref string, use func(context.Context, *atMiner) error) error {
	s, err := c.openSigning(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	v, err := s.findVM(ctx, ref)
	if err != nil {
		return err
	}
	conn, identity, key, err := s.dialHost(ctx, v)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	g, err := grants.Sign(s.wallet, grant.Grant{
		Purpose: grant.Console, ChainID: s.chain.ChainID(), VMID: v.ID, Audience: identity,
		ClientKey: key.Public().(ed25519.PublicKey), ExpiresAt: c.env.Now().Add(grantLife).Unix(),
	})
	if err != nil {
		return err
	}
	return use(ctx, &atMiner{client: minerv1.NewMinerClient(conn), grant: g, vmID: v.ID})
}

// hostError is a host's refusal as the host worded it.
func hostError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%s: %s", what, text.Clean(status.Convert(err).Message(), maxRefusal))
}

func (s *signing) dialHost(ctx context.Context, v vm.VM) (*grpc.ClientConn, ed25519.PublicKey, ed25519.PrivateKey, error) {
	host := v.Status.Miner
	if host == "" {
		return nil, nil, nil, fmt.Errorf("%s has no host yet: it is %s", v.Spec.Name, phaseText(viewVM(v)))
	}
	m, err := s.chain.Miner(ctx, host)
	if err != nil {
		return nil, nil, nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make client key: %w", err)
	}
	conn, err := peer.Dial(ctx, m.Endpoint, key, m.Identity)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reach host %s at %s: %w", m.Name, m.Endpoint, err)
	}
	return conn, m.Identity, key, nil
}

// console joins this terminal to the stream until Ctrl-] or the end of either.
func (c *command) console(ctx context.Context, m *atMiner) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.client.Console(ctx)
	if err != nil {
		return hostError(ctx, "open console", err)
	}
	open := &minerv1.ConsoleOpen{Grant: m.grant, VmId: string(m.vmID)}
	// Of a refusal, Recv tells why.
	if err := stream.Send(&minerv1.ConsoleRequest{Message: &minerv1.ConsoleRequest_Open{Open: open}}); err != nil && !errors.Is(err, io.EOF) {
		return hostError(ctx, "open console", err)
	}
	restore, err := c.rawTerminal()
	if err != nil {
		return err
	}
	defer restore()
	go func() {
		if c.consoleInput(stream) {
			cancel()
		}
	}()
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) || err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return hostError(ctx, "console", err)
		}
		if _, err := c.env.Out.Write(part.GetOutput()); err != nil {
			return fmt.Errorf("write console: %w", err)
		}
	}
}

// consoleInput sends what is typed until Ctrl-], which leaves at once, or the
// end of input, of which the host is told.
func (c *command) consoleInput(stream grpc.BidiStreamingClient[minerv1.ConsoleRequest, minerv1.ConsoleResponse]) (left bool) {
	buf := make([]byte, consoleChunk)
	for {
		n, err := c.env.In.Read(buf)
		input, _, left := bytes.Cut(buf[:n], []byte{escape})
		if len(input) > 0 && stream.Send(&minerv1.ConsoleRequest{Message: &minerv1.ConsoleRequest_Input{Input: input}}) != nil {
			return false // the reader knows why
		}
		switch {
		case left:
			return true
		case err != nil:
			// The host hangs up then, so what the VM says to the last line is waited for.
			time.Sleep(lastWords)
			_ = stream.CloseSend() // it never fails
			return false
		}
	}
}

// rawTerminal hands every key to the VM; restore takes it back.
func (c *command) rawTerminal() (restore func(), err error) {
	f, ok := c.env.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}, nil
	}
	state, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("prepare terminal: %w", err)
	}
	_, _ = fmt.Fprint(c.env.Err, "Connected; press Ctrl-] to disconnect.\r\n")
	return func() {
		_ = term.Restore(int(f.Fd()), state) // nothing else can be done
		_, _ = fmt.Fprintln(c.env.Err)
	}, nil
}
