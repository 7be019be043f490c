// Package console lets tenants at the serial consoles of their VMs: over the
// miner's peer port, for a client key that the owner's wallet vouched for, for
// one VM and a short time.
package console

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/api/node/grants"
	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/miner/hypervisor"
)

// Bounds of what one caller gets.
const (
	// maxInput bounds one message of keystrokes, in bytes.
	maxInput = 4 << 10
	// chunk is how much output goes into one message.
	chunk = 16 << 10
	// greeting is how much of the log a console shows first, in bytes.
	greeting    = 4 << 10
	followEvery = 500 * time.Millisecond
)

// Config of a Service. All but Log and Now are required.
type Config struct {
	ChainID string
	// Identity is this miner's transport key, to which grants are addressed.
	Identity ed25519.PublicKey
	Driver   hypervisor.Console
	// Owner gives the account a VM belongs to; ok is false for a VM that is
	// not held here.
	Owner func(id vm.ID) (owner string, ok bool, err error)
	Now   func() time.Time
	Log   *slog.Logger
}

// Service is minerv1.MinerServer.
type Service struct {
	minerv1.UnimplementedMinerServer

	c      Config
	places places
}

// admitted is what a caller was let in to.
type admitted struct {
	id    vm.ID
	owner string
	until time.Time
}

// New makes the service.
func New(c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{c: c}
}

// admit checks that the caller may see the VM's console, and until when.
func (s *Service) admit(ctx context.Context, vmID string, g *grantv1.Grant) (admitted, error) {
	caller, ok := peer.Identity(ctx)
	if !ok {
		return admitted{}, status.Error(codes.Unauthenticated, "the caller shows no key")
	}
	id, err := vm.ParseID(vmID)
	if err != nil {
		return admitted{}, status.Error(codes.InvalidArgument, err.Error())
	}
	signer, err := grants.Verify(g, grant.Want{
		Purpose: grant.Console, ChainID: s.c.ChainID, VMID: id, Audience: s.c.Identity, ClientKey: caller, Now: s.c.Now(),
	})
	if err != nil {
		return admitted{}, status.Error(codes.PermissionDenied, err.Error())
	}
	owner, ok, err := s.c.Owner(id)
	switch {
	case err != nil:
		s.c.Log.Error("owner of VM", "vm_id", vmID, "error", err)
		return admitted{}, status.Error(codes.Internal, "the miner cannot read its own state")
	case !ok || owner != signer:
		// The same answer for both: who holds what is not for strangers.
		return admitted{}, status.Errorf(codes.PermissionDenied, "this miner holds no VM %s of the account that signed", vmID)
	}
	return admitted{id, owner, time.Unix(g.GetExpiresAt(), 0)}, nil
}

// refusal is a driver's error as the caller sees it: if the session's context ended meanwhile, why it did.
func (s *Service) refusal(ctx, caller context.Context, id vm.ID, err error) error {
	switch {
	case ended(ctx, caller) != nil:
		return ended(ctx, caller)
	case errors.Is(err, hypervisor.ErrBusy):
		return status.Error(codes.ResourceExhausted, "the console is in use; it takes one connection at a time")
	case errors.Is(err, hypervisor.ErrState), errors.Is(err, hypervisor.ErrNotFound):
		return status.Error(codes.FailedPrecondition, "the VM does not run; start it, or see its logs")
	default:
		s.c.Log.Warn("console", "vm_id", string(id), "error", err)
		return status.Error(codes.Unavailable, "the console cannot be reached")
	}
}

// Console implements minerv1.MinerServer. The end of the log comes first.
func (s *Service) Console(stream grpc.BidiStreamingServer[minerv1.ConsoleRequest, minerv1.ConsoleResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return status.Error(codes.InvalidArgument, "the first message must open a console")
	}
	of, err := s.admit(stream.Context(), open.GetVmId(), open.GetGrant())
	if err != nil {
		return err
	}
	ctx, leave, err := s.places.enter(stream.Context(), of.owner)
	if err != nil {
		return err
	}
	defer leave()
	conn, err := s.c.Driver.DialConsole(ctx, of.id)
	if err != nil {
		return s.refusal(ctx, stream.Context(), of.id, err)
	}
	log, err := s.c.Driver.ConsoleLog(ctx, of.id)
	if err != nil {
		_ = conn.Close() // its error would say nothing more
		return s.refusal(ctx, stream.Context(), of.id, err)
	}
	s.c.Log.Info("console opened", "vm_id", string(of.id))
	err = s.join(ctx, stream, conn, log[max(0, len(log)-greeting):], of.until)
	s.c.Log.Info("console closed", "vm_id", string(of.id))
	return err
}

// join carries keystrokes and output until either side ends, or the grant does, or the place goes to another account.
func (s *Service) join(ctx context.Context, stream grpc.BidiStreamingServer[minerv1.ConsoleRequest, minerv1.ConsoleResponse], conn io.ReadWriteCloser, log []byte, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, s.deadline(until))
	defer cancel()
	var once sync.Once
	hangUp := func() { once.Do(func() { _ = conn.Close() }) }
	defer hangUp()
	stop := context.AfterFunc(ctx, hangUp)
	defer stop()
	if len(log) > 0 {
		if err := send(ctx, stream, &minerv1.ConsoleResponse{Output: log}); err != nil {
			return err
		}
	}
	// The handler's return ends Recv, so this goroutine ends with the stream.
	typed := make(chan error, 1)
	go func() {
		typed <- s.keys(stream, conn)
		hangUp()
	}()
	buf := make([]byte, chunk)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if err := send(ctx, stream, &minerv1.ConsoleResponse{Output: append([]byte(nil), buf[:n]...)}); err != nil {
				return err
			}
		}
		if err == nil {
			continue
		}
		select {
		case err := <-typed:
			return err
		default:
		}
		return ended(ctx, stream.Context()) // nil: the VM stopped
	}
}

// keys passes keystrokes on until the caller ends.
func (s *Service) keys(stream grpc.BidiStreamingServer[minerv1.ConsoleRequest, minerv1.ConsoleResponse], conn io.Writer) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		in := m.GetInput()
		if len(in) > maxInput {
			return status.Errorf(codes.InvalidArgument, "input of %d bytes; at most %d in one message", len(in), maxInput)
		}
		if _, err := conn.Write(in); err != nil {
			return nil //nolint:nilerr // the VM stopped: its reader says so
		}
	}
}

// deadline turns the chain's idea of a time into this clock's, as Now may be a test's.
func (s *Service) deadline(until time.Time) time.Time { return time.Now().Add(until.Sub(s.c.Now())) }
