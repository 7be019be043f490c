package console

import (
	"bytes"
	"context"
	"time"

	"google.golang.org/grpc"

	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/core/vm"
)

// Logs implements minerv1.MinerServer.
func (s *Service) Logs(r *minerv1.LogsRequest, stream grpc.ServerStreamingServer[minerv1.LogsResponse]) error {
	of, err := s.admit(stream.Context(), r.GetVmId(), r.GetGrant())
	if err != nil {
		return err
	}
	ctx, leave, err := s.places.enter(stream.Context(), of.owner)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithDeadline(ctx, s.deadline(of.until))
	defer cancel()
	return s.follow(ctx, of.id, r.GetFollow(), stream)
}

// follow sends the log, and with more what is added to it.
func (s *Service) follow(ctx context.Context, id vm.ID, more bool, stream grpc.ServerStreamingServer[minerv1.LogsResponse]) error {
	t := time.NewTicker(followEvery)
	defer t.Stop()
	var seen []byte
	for {
		log, err := s.c.Driver.ConsoleLog(ctx, id)
		if err != nil {
			return s.refusal(ctx, stream.Context(), id, err)
		}
		for fresh := added(seen, log); len(fresh) > 0; {
			n := min(len(fresh), chunk)
			if err := send(ctx, stream, &minerv1.LogsResponse{Output: fresh[:n]}); err != nil {
				return err
			}
			fresh = fresh[n:]
		}
		if !more {
			return nil
		}
		seen = log
		select {
		case <-t.C:
		case <-ctx.Done():
			if err := ended(ctx, stream.Context()); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
}

// anchor is how much of a log's end is looked for in the next, in bytes.
const anchor = 4 << 10

// added gives what now has beyond old. The log is cut at its front as it grows,
// so old need not be a prefix: its end is looked for. If that is gone, all of
// now is new.
func added(old, now []byte) []byte {
	if bytes.HasPrefix(now, old) {
		return now[len(old):]
	}
	end := old[max(0, len(old)-anchor):]
	if i := bytes.LastIndex(now, end); i >= 0 {
		return now[i+len(end):]
	}
	return now
}
