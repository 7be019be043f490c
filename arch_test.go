// Package compute_test holds the tree to its architecture: which folders may import which, which one place knows each
// technology, and what the programs that strangers run must not link. ARCHITECTURE.md tells why.
package compute_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hippius/compute/"

// floors: a folder imports only from floors below its own and from itself. Folders on one floor are peers and do not
// import each other; a component asks by an interface of its own, and daemon or cli introduces the two.
var floors = map[string]int{
	"cmd": 4, "test": 4,
	"daemon": 3, "cli": 3,
	"chain": 2, "miner": 2, "sentinel": 2, "storage": 2, "mesh": 2, "gateway": 2, "guest": 2, "tenant": 2,
	"api": 1, "web": 1,
	"core": 0, "internal": 0,
}

// homes: one technology, one home. The longest technology that begins an import path decides; only what lies in one of
// its homes may import it.
var homes = map[string][]string{
	"github.com/cosmos/cosmos-sdk":   {"chain/app", "chain/node", "chain/x", "cmd/hippiusd"},
	"github.com/cosmos/cosmos-db":    {"chain/app", "chain/node", "chain/x", "cmd/hippiusd"},
	"github.com/cometbft":            {"chain/app", "chain/node", "chain/x", "cmd/hippiusd"},
	"cosmossdk.io":                   {"chain/app", "chain/node", "chain/x", "cmd/hippiusd"},
	"github.com/cosmos/gogoproto":    {"chain/app", "chain/x", "cmd/hippiusd"},
	"github.com/cosmos/cosmos-proto": {"chain/x"},

	"github.com/digitalocean/go-libvirt": {"miner/hypervisor/libvirt"},
	"libvirt.org/go":                     {"miner/hypervisor/libvirt"},
	"github.com/moby":                    {"miner/container/docker"},
	"github.com/docker":                  {"miner/container/docker"},
	"github.com/slackhq/nebula":          {"mesh/nebula"},
	"github.com/slackhq/nebula/cert":     {"mesh/cert"},
	"gvisor.dev/gvisor":                  {"mesh/nebula"},
	"github.com/versity/versitygw":       {"storage/s3"},
	"go.etcd.io/bbolt":                   {"internal/store"},
	"github.com/cloudflare/circl":        {"internal/secretshare"},
	"filippo.io/hpke":                    {"internal/sealbox"},
	"filippo.io/age":                     {"internal/wallet"},
	"github.com/decred/dcrd":             {"internal/wallet"},
	"google.golang.org/grpc/credentials": {"internal/peer"},

	// Ours, but not for everybody: what links the whole node, and what only tests may use.
	module + "chain/app":        {"chain/app", "chain/node", "chain/x", "cmd/hippiusd", "daemon/devnet", "test"},
	module + "chain/node":       {"chain/node", "chain/x/compute/computetest", "cmd/hippiusd", "daemon/devnet", "test"},
	module + "chain/x":          {"chain/app", "chain/node", "chain/x", "cmd/hippiusd", "test"},
	module + "internal/testkit": {testsOnly},
	// The chain's messages as they are generated; everybody else speaks core.
	module + "api/chain":  {"api", "chain/client", testsOnly},
	"github.com/stretchr": {testsOnly},
	// Reads the queries of deploy/.
	"github.com/VictoriaMetrics": {testsOnly},
	"pgregory.net/rapid":         {testsOnly},
}

// testsOnly as a home means any test and nothing else.
const testsOnly = "tests"

// mayLinkNode are the programs that link the Cosmos SDK. All others must not, or they grow by 70 MB and minutes.
var mayLinkNode = []string{"hippiusd", "hippius-devnet"}

// notInBrowser is what the packages that browsers load must not link: each is megabytes, and none does anything there.
var notInBrowser = []string{
	"cosmossdk.io", "github.com/cosmos/cosmos-sdk", "github.com/cometbft", "github.com/cosmos/gogoproto", "github.com/cosmos/cosmos-proto",
	"github.com/prometheus", "go.opentelemetry.io", "github.com/google/go-cmp",
	"github.com/slackhq/nebula", "gvisor.dev/gvisor", "github.com/vishvananda/netlink",
}

// inBrowser is what may be linked of notInBrowser: Nebula's certificates.
const inBrowser = "github.com/slackhq/nebula/cert"

// pkg is one package of the tree: its path below the module, what it imports and what its tests import.
type pkg struct {
	path           string
	imports, tests []string
}

// violations lists what is wrong, one sentence each.
func violations(pkgs []pkg) []string {
	var found []string
	for _, p := range pkgs {
		top, _, _ := strings.Cut(p.path, "/")
		if _, ok := floors[top]; !ok && p.path != "" {
			found = append(found, fmt.Sprintf("%s: the folder %s has no floor", p.path, top))
			continue
		}
		for _, imp := range p.imports {
			found = append(found, check(p.path, imp, false)...)
		}
		for _, imp := range p.tests {
			found = append(found, check(p.path, imp, true)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func check(from, imp string, inTest bool) []string {
	var found []string
	if to, ours := strings.CutPrefix(imp, module); ours {
		fromTop, _, _ := strings.Cut(from, "/")
		toTop, _, _ := strings.Cut(to, "/")
		if fromTop != toTop && floors[toTop] >= floors[fromTop] {
			found = append(found, fmt.Sprintf("%s imports %s: %s is not on a floor below %s", from, to, toTop, fromTop))
		}
	} else if below(from, "core") && !inTest && strings.Contains(strings.Split(imp, "/")[0], ".") {
		found = append(found, fmt.Sprintf("%s imports %s: core is the standard library only", from, imp))
	}
	if technology := longestOf(imp); technology != "" {
		allowed := homes[technology]
		fits := slices.ContainsFunc(allowed, func(home string) bool {
			return home == testsOnly && inTest || below(from, home)
		})
		if !fits {
			found = append(found, fmt.Sprintf("%s imports %s: its home is %s", from, strings.TrimPrefix(imp, module), strings.Join(allowed, ", ")))
		}
	}
	return found
}

func longestOf(imp string) (longest string) {
	for technology := range homes {
		if below(imp, technology) && len(technology) > len(longest) {
			longest = technology
		}
	}
	return longest
}

// below reports whether path is folder or lies in it.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// node is the chain's framework.
var node = []string{"github.com/cosmos/cosmos-sdk", "github.com/cometbft/cometbft", module + "chain/app", module + "chain/node"}

// linked lists those of deps that are of one of the modules.
func linked(deps, modules []string) (found []string) {
	for _, d := range deps {
		if slices.ContainsFunc(modules, func(m string) bool { return below(d, m) }) && !below(d, inBrowser) {
			found = append(found, d)
		}
	}
	return found
}

func TestArchitecture(t *testing.T) {
	for _, v := range violations(list(t)) {
		t.Error(v)
	}
}

func TestProgramsLinkNoNode(t *testing.T) {
	entries, err := os.ReadDir("cmd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if slices.Contains(mayLinkNode, e.Name()) {
			continue
		}
		deps := strings.Fields(string(golist(t, "-deps", "./cmd/"+e.Name())))
		if found := linked(deps, node); len(found) > 0 {
			t.Errorf("%s links %d packages of the chain's framework, the first is %s", e.Name(), len(found), found[0])
		}
	}
}

// TestBrowsersLinkLittle holds the packages that make lint compiles for browsers to what these may link.
func TestBrowsersLinkLittle(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(makefile), "\nWASM ")
	line, _, _ := strings.Cut(rest, "\n")
	_, list, _ := strings.Cut(line, ":=")
	packages := strings.Fields(list)
	if len(packages) < 3 {
		t.Fatalf("the Makefile's WASM lists %q", packages)
	}
	t.Setenv("GOOS", "js")
	t.Setenv("GOARCH", "wasm")
	for _, p := range packages {
		deps := strings.Fields(string(golist(t, "-deps", p)))
		if found := linked(deps, notInBrowser); len(found) > 0 {
			t.Errorf("%s links in a browser what it must not: %s", p, strings.Join(found, ", "))
		}
	}
}

// TestCheckerFinds shows the checker made-up trees: each line must be found, and what is allowed must not.
func TestCheckerFinds(t *testing.T) {
	for _, tc := range []struct {
		from, imp string
		test      bool
		want      string // part of the one violation; empty for none
	}{
		{from: "cmd/hippius", imp: module + "cli"},
		{from: "cli/connect", imp: module + "tenant"},
		{from: "tenant", imp: module + "api/node/keeper/v1"},
		{from: "daemon/miner", imp: module + "chain/client"},
		{from: "daemon/devnet", imp: module + "chain/app"},
		{from: "daemon/devnet", imp: module + "chain/node"},
		{from: "miner/agent", imp: module + "miner/hypervisor"},
		{from: "miner/agent", imp: module + "core/vm"},
		{from: "core/vm", imp: "time"},
		{from: "core/vm", imp: "pgregory.net/rapid", test: true},
		{from: "chain/client", imp: module + "api/cosmos/tx/v1beta1"},
		{from: "chain/x/compute/keeper", imp: "cosmossdk.io/collections"},
		{from: "mesh/nebula", imp: "github.com/slackhq/nebula/config"},
		{from: "mesh/cert", imp: "github.com/slackhq/nebula/cert"},
		{from: "mesh/nebula", imp: "github.com/slackhq/nebulae"},
		{from: "guest", imp: module + "internal/testkit", test: true},
		{from: "chain/client", imp: module + "api/chain/compute/v1"},
		{from: "daemon/sentinel", imp: module + "api/chain/compute/v1", test: true},

		{from: "cli", imp: module + "daemon/miner", want: "not on a floor below"},
		{from: "miner/agent", imp: module + "chain/client", want: "not on a floor below"},
		{from: "miner/agent", imp: module + "chain/client", test: true, want: "not on a floor below"},
		{from: "gateway/lighthouse", imp: module + "mesh/ca", want: "not on a floor below"},
		{from: "tenant", imp: module + "chain/client", want: "not on a floor below"},
		{from: "tenant", imp: module + "mesh/cert", test: true, want: "not on a floor below"},
		{from: "sentinel/keeper", imp: module + "daemon", want: "not on a floor below"},
		{from: "internal/store", imp: module + "core/vm", want: "not on a floor below"},
		{from: "core/vm", imp: module + "internal/store", want: "not on a floor below"},
		{from: "api/node/grants", imp: module + "web", want: "not on a floor below"},
		{from: "test/e2e", imp: module + "cmd/hippius", want: "not on a floor below"},
		{from: "core/vm", imp: "golang.org/x/sys/unix", want: "standard library only"},
		{from: "helpers", imp: "fmt", want: "has no floor"},
		{from: "cli", imp: "github.com/cosmos/cosmos-sdk/types", want: "its home is"},
		{from: "chain/client", imp: "github.com/cosmos/cosmos-sdk/types", test: true, want: "its home is"},
		{from: "chain/client", imp: "cosmossdk.io/math", want: "its home is"},
		{from: "chain/client", imp: "cosmossdk.io/api/cosmos/tx/v1beta1", want: "its home is"},
		{from: "daemon/devnet", imp: "github.com/cometbft/cometbft/node", want: "its home is"},
		{from: "daemon/miner", imp: module + "chain/app", want: "its home is"},
		{from: "daemon/miner", imp: module + "chain/node", want: "its home is"},
		{from: "chain/app", imp: module + "chain/node", test: true, want: "its home is"},
		{from: "chain/client", imp: module + "chain/node", want: "its home is"},
		{from: "daemon/devnet", imp: module + "chain/x/credits/types", want: "its home is"},
		{from: "miner/hypervisor", imp: "github.com/digitalocean/go-libvirt", want: "its home is"},
		{from: "mesh/ca", imp: "github.com/slackhq/nebula/cert", test: true, want: "its home is"},
		{from: "mesh/cert", imp: "github.com/slackhq/nebula", want: "its home is"},
		{from: "miner/agent", imp: "go.etcd.io/bbolt", want: "its home is"},
		{from: "guest", imp: module + "internal/testkit", want: "its home is"},
		{from: "cli", imp: module + "api/chain/compute/v1", want: "its home is"},
		{from: "test/chaos", imp: module + "api/chain/compute/v1", want: "its home is"},
		{from: "guest", imp: "github.com/stretchr/testify/require", want: "its home is"},
	} {
		p := pkg{path: tc.from}
		if tc.test {
			p.tests = []string{tc.imp}
		} else {
			p.imports = []string{tc.imp}
		}
		found := violations([]pkg{p})
		switch {
		case tc.want == "" && len(found) > 0:
			t.Errorf("%s may import %s, but: %v", tc.from, tc.imp, found)
		case tc.want != "" && (len(found) != 1 || !strings.Contains(found[0], tc.want)):
			t.Errorf("%s imports %s (test %v): found %q, want one that says %q", tc.from, tc.imp, tc.test, found, tc.want)
		}
	}
	links := []string{"github.com/cometbft/cometbft/node", "github.com/cosmos/cosmos-sdk/types", module + "chain/app", module + "chain/node/command"}
	if found := linked(append([]string{"fmt", "cosmossdk.io/api/x", module + "chain/client"}, links...), node); !slices.Equal(found, links) {
		t.Errorf("found %v linked, want %v", found, links)
	}
	if found := linked([]string{"fmt", "cosmossdk.io/api/x", module + "api/cosmos/tx/v1beta1", "github.com/google/go-cmp/cmp", "github.com/slackhq/nebula/cert/p256"}, notInBrowser); len(found) != 2 {
		t.Errorf("found %v linked, want the two that browsers must not load", found)
	}
}

// list reads the tree's packages, tests included.
func list(t *testing.T) []pkg {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(golist(t, "-json=ImportPath,Imports,TestImports,XTestImports", "./...")))
	var pkgs []pkg
	for {
		var raw struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, pkg{
			path:    strings.TrimPrefix(strings.TrimPrefix(raw.ImportPath, strings.TrimSuffix(module, "/")), "/"),
			imports: raw.Imports,
			tests:   append(raw.TestImports, raw.XTestImports...),
		})
	}
	if len(pkgs) < 20 {
		t.Fatalf("only %d packages listed", len(pkgs))
	}
	return pkgs
}

func golist(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &said)
	}
	return out
}
