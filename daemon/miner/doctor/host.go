package doctor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/internal/peer"
	keyfile "github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/hostinfo"
	"github.com/hippius/compute/miner/hypervisor/libvirt"
	taprules "github.com/hippius/compute/miner/network"
)

// Chain is what the checks ask of the chain.
type Chain interface {
	asking
	registered
	Close() error
}

type asking interface {
	ChainID() string
	Nodes(ctx context.Context) []client.NodeState
	CheckVersion(ctx context.Context) error
	Head(ctx context.Context) (vm.Head, error)
	Params(ctx context.Context) (params.Params, error)
}

type registered interface {
	Miner(ctx context.Context, operator string) (node.Miner, error)
	Balance(ctx context.Context, address string) (credit.Balance, error)
	Uhip(ctx context.Context, address string) (uint64, error)
}

// Host is how the checks look at a host. Each function answers one question; tests replace them.
type Host struct {
	Arch  string
	Cores func() int
	Now   func() time.Time

	Settings     func(path string) (miner.Config, error)
	Euid         func() int
	Capabilities func() (uint64, error)
	Accelerate   func(ctx context.Context, want libvirt.Accel) (libvirt.Choice, error)
	Memory       func() (total, available uint64, err error)
	// Free gives the bytes free where a folder is or would be made, and the folder that is there.
	Free    func(path string) (free uint64, at string, err error)
	Libvirt func(ctx context.Context, socket string) (string, error)
	// Version is the first line that a tool says of itself.
	Version  func(ctx context.Context, tool string) (string, error)
	User     func(name string) error
	Firewall func() error
	// Blocked names chains of other programs that keep VMs' packets from being forwarded.
	Blocked func(tag string) ([]string, error)
	Device  func(path string) error
	Program func(path string) error
	Listen  func(ctx context.Context, addr netip.AddrPort) error
	// Healthy tells whether a miner answers at its private address.
	Healthy func(ctx context.Context, addr netip.AddrPort) bool
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	Wallet  func(path string) (address string, err error)
	// Identity is the miner's transport key; nil before its first start.
	Identity func(data string) (ed25519.PublicKey, error)
	Chain    func(set miner.Config) (Chain, error)
}

// ThisHost is the host that this program runs on.
func ThisHost() Host {
	return Host{
		Arch: runtime.GOARCH, Cores: runtime.NumCPU, Now: time.Now,
		Settings: func(path string) (miner.Config, error) { return config.Load(path, miner.Default()) },
		Euid:     os.Geteuid, Capabilities: capabilities,
		Accelerate: libvirt.Choose,
		Memory:     func() (uint64, uint64, error) { return hostinfo.Memory("/") },
		Free:       free, Libvirt: libvirt.Versions, Version: version,
		User: func(name string) error {
			_, err := user.Lookup(name)
			return err
		},
		Firewall: taprules.Able, Blocked: taprules.Blocked, Device: device, Program: program, Listen: listen, Healthy: healthy,
		Resolve: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
		Wallet: func(path string) (string, error) {
			w, err := keyfile.LoadPlain(path)
			if err != nil {
				return "", err
			}
			return w.Address(), nil
		},
		Identity: identity, Chain: chain,
	}
}

func capabilities() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, errors.New("/proc/self/status tells none")
}

func free(path string) (uint64, string, error) {
	at := filepath.Clean(path)
	for {
		var s unix.Statfs_t
		err := unix.Statfs(at, &s)
		if err == nil {
			return s.Bavail * uint64(max(s.Bsize, 0)), at, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || at == "/" {
			return 0, at, fmt.Errorf("free space at %s: %w", at, err)
		}
		at = filepath.Dir(at)
	}
}

func version(ctx context.Context, tool string) (string, error) {
	out, err := exec.CommandContext(ctx, tool, "--version").Output() //nolint:gosec // one of two constants
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line), nil
}

func device(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// program looks whether a file is one that guests can run.
func program(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // only read from
	if f.Machine != elf.EM_X86_64 {
		return fmt.Errorf("%s is a program for %s", path, f.Machine)
	}
	return nil
}

func listen(ctx context.Context, addr netip.AddrPort) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	return l.Close()
}

func healthy(ctx context.Context, addr netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+"/metrics", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	var head bytes.Buffer
	if _, err := head.ReadFrom(http.MaxBytesReader(nil, resp.Body, 4<<20)); err != nil {
		return false
	}
	return strings.Contains(head.String(), `program="hippius-miner"`)
}

func identity(data string) (ed25519.PublicKey, error) {
	path := filepath.Join(data, miner.IdentityFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none yet is an answer
	}
	key, err := peer.LoadOrCreateKey(path)
	if err != nil {
		return nil, err
	}
	return ed25519.PublicKey(key[ed25519.SeedSize:]), nil
}

func chain(set miner.Config) (Chain, error) {
	if set.Network == "" {
		return nil, errors.New("the settings name no network profile")
	}
	profile, err := client.LoadNetwork(set.Network)
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Config{Network: profile, Call: checkTime / 4})
	if err != nil {
		return nil, err
	}
	return c, nil
}
