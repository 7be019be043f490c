package peer

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/internal/observe"
)

// spoken makes a server that speaks other versions than this program.
func spoken(v Versions) Option { return func(s *settings) { s.versions = v } }

// Older and newer programs talk, or the server says which of both is to be upgraded.
func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		server, client Versions
		says           string
	}{
		"the same":                     {server: Versions{1, 1}, client: Versions{1, 1}},
		"newer client, still speaks 1": {server: Versions{1, 1}, client: Versions{1, 3}},
		"newer server, still speaks 1": {server: Versions{1, 3}, client: Versions{1, 1}},
		"overlap":                      {server: Versions{2, 4}, client: Versions{4, 6}},
		"older client":                 {server: Versions{2, 3}, client: Versions{1, 1}, says: "speaks version 1 of the protocol between nodes and this node versions 2 to 3: upgrade the caller"},
		"older server":                 {server: Versions{1, 1}, client: Versions{2, 3}, says: "speaks versions 2 to 3 of the protocol between nodes and this node version 1: this node has to be upgraded"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, spoken(c.server))
			key, _ := newKey(t)
			conn, err := newClient(s.addr, ClientCredentials(key, s.pub), dialTCP, c.client)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // the calls below are what is tested
			health := grpc_health_v1.NewHealthClient(conn)
			unary := check(t, health, "")
			w, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			_, stream := w.Recv()
			for kind, err := range map[string]error{"unary": unary, "stream": stream} {
				switch {
				case c.says == "" && err != nil:
					t.Errorf("%s: %v", kind, err)
				case c.says != "" && (status.Code(err) != codes.Unimplemented || !strings.Contains(status.Convert(err).Message(), c.says)):
					t.Errorf("%s: %v; want %q", kind, err, c.says)
				}
			}
			if called := len(s.caller) > 0; called != (c.says == "") {
				t.Errorf("the service was called: %v", called)
			}
		})
	}
}

// A program from before there was a header is one of version 1.
func TestVersionHeader(t *testing.T) {
	s := serve(t, spoken(Versions{2, 2}))
	key, _ := newKey(t)
	old := Versions{1, 1}
	for name, header := range map[string][]string{
		"none": nil, "two": {"2-2", "2-2"}, "words": {"new"}, "zero": {"0-2"}, "backwards": {"3-2"}, "one number": {"2"}, "huge": {"2-99999999999"},
	} {
		md := metadata.MD{}
		if header != nil {
			md[versionHeader] = header
		}
		v, err := parseVersions(md.Get(versionHeader))
		if (header == nil) != (err == nil) || header == nil && v != old {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	c := mustDial(t, s.addr, key, s.pub)
	ctx := metadata.AppendToOutgoingContext(t.Context(), versionHeader, "2-2")
	if _, err := c.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a call with two headers: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	o := observe.New("hippius-test", "v1")
	s := serve(t, WithMetrics(o.Peer()), MaxConns(1, 1))
	key, _ := newKey(t)
	c := mustDial(t, s.addr, key, s.pub)
	if err := check(t, c, ""); err != nil {
		t.Fatal(err)
	}
	other, _ := newKey(t)
	if _, err := dial(t, s.addr, other, s.pub); err == nil {
		t.Fatal("a second connection was let in")
	}
	families, err := o.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if got["hippius_peer_calls_total"] != 1 || got["hippius_peer_connections"] != 1 || got["hippius_peer_connections_refused_total"] < 1 {
		t.Errorf("figures %v", got)
	}
}
