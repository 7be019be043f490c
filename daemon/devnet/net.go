package devnet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hippius/compute/chain/client"
)

const (
	chainID = "hippius-devnet"
	// startWithin bounds each wait while the network comes up.
	startWithin = 90 * time.Second
	pollEvery   = 100 * time.Millisecond
)

// Net is a running network.
type Net struct {
	set         Config
	addr        netip.Addr // where validators, gateway and faucet listen
	ports       *ports
	ethernet    *ethernet // nil with the fake driver
	validators  []*validator
	miners      []*minerHost
	faucet      person
	gateway     person
	faucetHTTP  *http.Server
	genesisHash [32]byte
	profile     client.Network
	chain       *client.Client
	running     []*running
	down        []program // ended by Kill
	spawner     spawner
}

// Start brings a network up and returns when tenants can use it: blocks are
// made, keepers, lighthouse and miners are registered. What it began is taken
// down when it fails.
func Start(ctx context.Context, set Config) (_ *Net, err error) {
	if err := set.validate(); err != nil {
		return nil, err
	}
	if set.Dir, err = filepath.Abs(set.Dir); err != nil {
		return nil, fmt.Errorf("devnet: %w", err)
	}
	if err := openFolder(set.Dir); err != nil {
		return nil, err
	}
	n := &Net{set: set, ports: newPorts(), addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close(context.WithoutCancel(ctx)))
		}
	}()
	for _, step := range []func(context.Context) error{
		n.plugIn, n.makePeople, n.makeValidators, n.begin, n.startFaucet, n.startSentinels, n.startGateway, n.startMiners,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// openFolder makes the folder, which QEMU's user must be able to pass through;
// what is private in it is so by its own mode.
func openFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // passing through shows nothing
		return fmt.Errorf("devnet: %w", err)
	}
	return nil
}

// plugIn makes the network's own network, with libvirt.
func (n *Net) plugIn(ctx context.Context) (err error) {
	if n.set.Driver != Libvirt {
		return nil
	}
	if n.ethernet, err = newEthernet(ctx, n.set.Tag); err == nil {
		n.addr = n.ethernet.host
	}
	return err
}

func (n *Net) makePeople(ctx context.Context) (err error) {
	if n.faucet, err = personIn(n.set.Dir, "faucet"); err != nil {
		return err
	}
	if n.gateway, err = personIn(n.set.Dir, "gateway"); err != nil {
		return err
	}
	return n.makeMiners(ctx)
}

func (n *Net) begin(ctx context.Context) error {
	if err := n.genesis(); err != nil { //nolint:contextcheck // the chain's application takes no context
		return err
	}
	return n.startValidators(ctx)
}

// Profile is the path of the network's profile, for `hippius login --network`.
func (n *Net) Profile() string { return n.path("network.json") }

// Chain asks and follows the network's chain.
func (n *Net) Chain() *client.Client { return n.chain }

func (n *Net) path(name string) string { return filepath.Join(n.set.Dir, name) }

// launch starts a program and remembers to end it.
func (n *Net) launch(p program) error {
	r, err := n.start(p)
	if err != nil {
		return err
	}
	n.running = append(n.running, r)
	n.set.Log.Info("started", "program", p.name, "pid", r.pid)
	return nil
}

// until asks ok again and again until it returns nil. It fails early when a program has ended.
func (n *Net) until(ctx context.Context, what string, ok func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		err := ok(ctx)
		if err == nil {
			return nil
		}
		if ended := n.firstEnded(); ended != nil {
			return fmt.Errorf("waiting for %s: %s has ended: %w\n%s", what, ended.name, errors.Join(ended.err, err), n.tail(ended.name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-time.After(pollEvery):
		}
	}
}

func (n *Net) firstEnded() *running {
	for _, r := range n.running {
		select {
		case <-r.ended:
			return r
		default:
		}
	}
	return nil
}

// tail is the end of a program's log.
func (n *Net) tail(name string) string {
	data, err := os.ReadFile(n.path(name + ".log"))
	if err != nil {
		return ""
	}
	return string(data[max(0, len(data)-2000):])
}

// Failed says which program has ended by itself; nil while all run.
func (n *Net) Failed() error {
	if r := n.firstEnded(); r != nil {
		return fmt.Errorf("%s has ended: %w\n%s", r.name, errors.Join(r.err, errors.New("not asked to")), n.tail(r.name))
	}
	return nil
}

// Close ends everything, the last started first, and removes namespaces and
// interfaces. The folder stays.
func (n *Net) Close(ctx context.Context) error {
	var errs []error
	if n.faucetHTTP != nil {
		errs = append(errs, n.faucetHTTP.Close())
	}
	for _, r := range slices.Backward(n.running) {
		errs = append(errs, r.stop(ctx))
	}
	n.running = nil
	if n.chain != nil {
		errs = append(errs, n.chain.Close())
	}
	for _, m := range slices.Backward(n.miners) {
		errs = append(errs, m.close())
	}
	if n.ethernet != nil {
		errs = append(errs, n.ethernet.close())
	}
	n.spawner.close()
	return errors.Join(errs...)
}
