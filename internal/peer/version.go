package peer

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Versions of the protocol between nodes that a program speaks, from Oldest to Newest. What an older program would
// misunderstand (not a new call or field, which it ignores) raises Newest; what is unsupported from now on, Oldest.
type Versions struct{ Oldest, Newest uint32 }

// Spoken are this program's.
func Spoken() Versions { return Versions{Oldest: 1, Newest: 1} }

// versionHeader carries the caller's versions with every call, as "oldest-newest".
const versionHeader = "hippius-protocol"

// String is the header's value.
func (v Versions) String() string { return fmt.Sprintf("%d-%d", v.Oldest, v.Newest) }

// words says the same to people.
func (v Versions) words() string {
	if v.Oldest == v.Newest {
		return "version " + strconv.FormatUint(uint64(v.Newest), 10)
	}
	return fmt.Sprintf("versions %d to %d", v.Oldest, v.Newest)
}

// parseVersions reads a header; a caller that sends none is of the time before there was one.
func parseVersions(header []string) (Versions, error) {
	if len(header) == 0 {
		return Versions{Oldest: 1, Newest: 1}, nil
	}
	oldest, newest, _ := strings.Cut(header[0], "-")
	from, err1 := strconv.ParseUint(oldest, 10, 32)
	to, err2 := strconv.ParseUint(newest, 10, 32)
	if err1 != nil || err2 != nil || from == 0 || to < from || len(header) > 1 {
		return Versions{}, status.Errorf(codes.InvalidArgument, "the call's %s header is unsupported: want oldest-newest, such as %s", versionHeader, Spoken())
	}
	return Versions{Oldest: uint32(from), Newest: uint32(to)}, nil
}

// meets says in words that people can act on why two programs cannot talk, or nil. The code makes a caller that knows
// of other nodes try those.
func (v Versions) meets(caller Versions) error {
	const sentence = "the caller speaks %s of the protocol between nodes and this node %s: "
	switch {
	case caller.Newest < v.Oldest:
		return status.Errorf(codes.Unimplemented, sentence+"upgrade the caller", caller.words(), v.words())
	case caller.Oldest > v.Newest:
		return status.Errorf(codes.Unimplemented, sentence+"this node has to be upgraded", caller.words(), v.words())
	}
	return nil
}

// checkVersion refuses a caller that this node does not understand, before anything of the call is looked at.
func (v Versions) checkVersion(ctx context.Context) error {
	caller, err := parseVersions(metadata.ValueFromIncomingContext(ctx, versionHeader))
	if err != nil {
		return err
	}
	return v.meets(caller)
}

// tell sends the versions with every call of a client.
func (v Versions) tell() []grpc.DialOption {
	said := v.String()
	with := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, versionHeader, said)
	}
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return next(with(ctx), method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return next(with(ctx), desc, cc, method, opts...)
		}),
	}
}
