package netlab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/internal/testkit"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("makes namespaces: runs as root, in CI and in `sudo make test`")
	}
}

// secluded runs the calling test once more, in a process with a network and a
// /run of its own, so that what others do on this host meanwhile does not
// show. (/run/mount is mount's own, and there on every host.) It reports true to the caller that is to return.
func secluded(t *testing.T) bool {
	t.Helper()
	needRoot(t)
	if os.Getenv("NETLAB_TEST_SECLUDED") == t.Name() {
		return false
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", "--mount", "bash", "-c",
		`mount -t tmpfs tmpfs /run && mkdir /run/mount && ip link set lo up && exec "$@"`, "bash",
		os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=90s")
	cmd.Env = append(os.Environ(), "NETLAB_TEST_SECLUDED="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("secluded: %v\n%s", err, out)
	}
	return true
}

// world is everything of the host that a lab might leave something in.
func world(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, argv := range [][]string{
		{"ip", "-o", "link"}, {"ip", "-o", "addr"}, {"ip", "route"}, {"ip", "netns"}, {"nft", "list", "ruleset"},
	} {
		out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
		fmt.Fprintf(&b, "%v\n%s\n", argv, out)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	b.Write(mounts)
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && ofThisTest(path) {
			fmt.Fprintln(&b, path)
		}
		return nil // groups of others come and go
	})
	entries, err := os.ReadDir("/run")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fmt.Fprintln(&b, e)
	}
	for _, p := range processes(t) {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// processes lists what only labs start.
func processes(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range dirs {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		text := string(bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
		groups, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cgroup"))
		if strings.Contains(text, marker) || ofThisTest(string(groups)) {
			found = append(found, path+" "+text[:min(len(text), 60)])
		}
	}
	return found
}

// ofThisTest recognizes the cgroups of the labs whose traces are looked for;
// other packages' tests have theirs meanwhile.
func ofThisTest(text string) bool {
	return slices.ContainsFunc([]string{"t-left-", "t-killed", "t-next"}, func(name string) bool {
		return strings.Contains(text, cgroupPrefix+name)
	})
}

// marker is an argument that only this test's processes have.
var marker = fmt.Sprintf("86399.%d", os.Getpid())

func open(t *testing.T, name string, opts Options) *Lab {
	t.Helper()
	lab, err := New(t.Context(), name, opts)
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, lab.Close()) })
	return lab
}

func TestNothingIsLeft(t *testing.T) {
	if secluded(t) {
		return
	}
	before := world(t)
	a, err := New(t.Context(), "t-left-a", Options{})
	testkit.Check(t, err)
	b, err := New(t.Context(), "t-left-b", Options{Libvirt: true})
	testkit.Check(t, err)
	testkit.Check(t, Connect(End{a, "wire", netip.MustParsePrefix("10.201.0.1/30")}, End{b, "wire", netip.MustParsePrefix("10.201.0.2/30")}))
	testkit.Check(t, Connect(End{nil, "hltest", netip.MustParsePrefix("10.201.1.1/30")}, End{b, "up", netip.MustParsePrefix("10.201.1.2/30")}))
	testkit.Check(t, b.StartLibvirt(t.Context()))
	// A process nobody waits for, one that is orphaned, rules and a mount.
	testkit.Check(t, a.Command(context.Background(), "sleep", marker).Start())
	testkit.Check(t, b.Command(t.Context(), "bash", "-c", "setsid sleep "+marker+" & disown").Run())
	testkit.Check(t, b.Command(t.Context(), "nft", "add table inet labtest").Run())
	testkit.Check(t, b.Command(t.Context(), "mount", "-t", "tmpfs", "tmpfs", "/mnt").Run())
	if during := world(t); during == before || len(processes(t)) < 4 {
		t.Fatal("two labs made no difference: this test sees nothing")
	}
	if _, err := New(t.Context(), "t-left-a", Options{}); err == nil {
		t.Fatal("a name was given twice")
	}
	testkit.Check(t, a.Close())
	testkit.Check(t, a.Close())
	testkit.Check(t, b.Close())
	if after := world(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if err := a.Command(t.Context(), "true").Run(); err == nil {
		t.Error("a closed lab runs commands")
	}
}

func TestWorldsApart(t *testing.T) {
	needRoot(t)
	a, b := open(t, "t-apart-a", Options{}), open(t, "t-apart-b", Options{})
	testkit.Check(t, Connect(End{a, "wire", netip.MustParsePrefix("10.202.0.1/30")}, End{b, "wire", netip.MustParsePrefix("10.202.0.2/30")}))
	testkit.Check(t, Connect(End{nil, "hltest2", netip.MustParsePrefix("10.202.1.1/30")}, End{b, "up", netip.MustParsePrefix("10.202.1.2/30")}))
	testkit.Check(t, b.Forward())
	testkit.Check(t, a.Route(netip.Prefix{}, netip.MustParseAddr("10.202.0.2")))

	var server net.Listener
	testkit.Check(t, a.Do(func() (err error) {
		server, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "10.202.0.1:0")
		return err
	}))
	defer func() { _ = server.Close() }()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintln(conn, "hello")
			_ = conn.Close()
		}
	}()
	dial := func() error {
		conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(t.Context(), "tcp", server.Addr().String())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || line != "hello\n" {
			return fmt.Errorf("read %q: %w", line, err)
		}
		return nil
	}
	testkit.Check(t, b.Do(dial))
	if err := a.Do(func() error { _, err := net.InterfaceByName("hltest2"); return err }); err == nil {
		t.Error("the host's interface shows in a lab")
	}
	if err := dial(); err == nil {
		t.Error("a lab's address answers outside without a route")
	}

	// A program sees the lab's processes, network and mounts, and its end.
	out, err := a.Command(t.Context(), "bash", "-c", "ls -d /proc/[0-9]* | wc -l; ip -o -4 addr; echo $$; mount -t tmpfs tmpfs /mnt && touch /mnt/inside").Output()
	testkit.Check(t, err)
	if text := string(out); !strings.Contains(text, "10.202.0.1") || strings.Contains(text, "10.202.1.1") || strings.Count(text, "\n") > 6 {
		t.Errorf("inside: %s", text)
	}
	if _, err := os.Stat("/mnt/inside"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lab's mount shows outside: %v", err)
	}
	testkit.Check(t, a.Command(t.Context(), "test", "-e", "/mnt/inside").Run())
	var exit *exec.ExitError
	if err := a.Command(t.Context(), "bash", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("exit 7: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := a.Command(ctx, "sleep", marker).Run(); err == nil || time.Since(start) > 5*time.Second || len(processes(t)) != 0 {
		t.Errorf("a program outlived its context: %v after %v, %q", err, time.Since(start), processes(t))
	}
	link, err := os.Readlink("/proc/self/ns/net")
	testkit.Check(t, err)
	for range 20 {
		testkit.Check(t, a.Do(func() error { return nil }))
	}
	if now, err := os.Readlink("/proc/self/ns/net"); err != nil || now != link {
		t.Errorf("this process moved from %s to %s, %v", link, now, err)
	}
}

func TestLibvirtd(t *testing.T) {
	needRoot(t)
	lab := open(t, "t-virt", Options{Libvirt: true})
	beside := open(t, "t-virt-2", Options{Libvirt: true})
	testkit.Check(t, beside.StartLibvirt(t.Context()))
	start := time.Now()
	testkit.Check(t, lab.StartLibvirt(t.Context()))
	t.Logf("libvirtd answers after %v", time.Since(start).Round(time.Millisecond))
	testkit.Check(t, lab.StartLibvirt(t.Context()))
	start = time.Now()
	out, err := lab.Command(t.Context(), "virsh", "-c", "qemu:///system", "list", "--all").CombinedOutput()
	if err != nil {
		t.Fatalf("virsh: %v: %s", err, out)
	}
	t.Logf("first connection took %v", time.Since(start).Round(time.Millisecond))
	lab.StopLibvirt()
	if answers(t.Context(), lab.LibvirtSocket()) {
		t.Fatal("a stopped libvirtd answers")
	}
	testkit.Check(t, lab.StartLibvirt(t.Context()))
	if groups := labCgroups("t-virt"); len(groups) == 0 || !slices.ContainsFunc(groups, func(g string) bool {
		procs, err := os.ReadFile(filepath.Join(g, "cgroup.procs"))
		return err == nil && len(strings.Fields(string(procs))) >= 3 // init, virtlogd, libvirtd
	}) {
		t.Errorf("libvirtd runs outside the lab's cgroups %v", groups)
	}
}

// TestOwnerKilled is the devnet killed by its user: nothing may go on running,
// and what the kernel leaves goes with the next lab.
func TestOwnerKilled(t *testing.T) {
	if secluded(t) {
		return
	}
	tidy(t) // what an earlier run left when it was killed itself
	before := world(t)
	owner := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperOwner$", "-test.timeout=60s")
	owner.Env = append(os.Environ(), "NETLAB_TEST_OWNER="+marker)
	out, err := owner.StdoutPipe()
	testkit.Check(t, err)
	testkit.Check(t, owner.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "owner ready") {
	}
	const ran = 5 // init, virtlogd, libvirtd and the two that sleep
	during := processes(t)
	for end := time.Now().Add(10 * time.Second); len(during) < ran && time.Now().Before(end); during = processes(t) {
		time.Sleep(20 * time.Millisecond) // one that is just being executed has no command line
	}
	testkit.Check(t, owner.Process.Kill())
	_ = owner.Wait() // killed: always an error
	if len(during) < ran {
		t.Fatalf("the owner's labs ran only %q", during)
	}
	for end := time.Now().Add(10 * time.Second); len(processes(t)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("outlived their owner: %q", processes(t))
		}
	}
	if _, err := os.Stat(filepath.Join(baseDir, "t-killed")); err != nil {
		t.Fatalf("this test expects the dead owner's folder: %v", err)
	}
	tidy(t)
	// The kernel takes a dead namespace's interfaces away when it comes to it.
	after := world(t)
	for end := time.Now().Add(time.Minute); after != before && time.Now().Before(end); after = world(t) {
		time.Sleep(100 * time.Millisecond)
	}
	if after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// tidy begins a lab and ends it, which takes away what dead owners have left.
func tidy(t *testing.T) {
	t.Helper()
	next, err := New(t.Context(), "t-next", Options{})
	testkit.Check(t, err)
	testkit.Check(t, next.Close())
}

// TestHelperOwner is the process that TestOwnerKilled kills.
func TestHelperOwner(t *testing.T) {
	mark := os.Getenv("NETLAB_TEST_OWNER")
	if mark == "" {
		t.Skip("a helper: TestOwnerKilled runs it in a process of its own")
	}
	lab, err := New(t.Context(), "t-killed", Options{Libvirt: true})
	testkit.Check(t, err)
	testkit.Check(t, Connect(End{nil, "hltest3", netip.MustParsePrefix("10.203.1.1/30")}, End{lab, "up", netip.MustParsePrefix("10.203.1.2/30")}))
	testkit.Check(t, lab.StartLibvirt(t.Context()))
	testkit.Check(t, lab.Command(t.Context(), "sleep", mark).Start())
	testkit.Check(t, lab.Command(t.Context(), "bash", "-c", "setsid sleep "+mark+" & disown").Run())
	fmt.Println("owner ready")
	time.Sleep(time.Minute)
}

func TestRefusals(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := New(t.Context(), "t-user", Options{}); !errors.Is(err, ErrNotRoot) {
			t.Fatalf("without root: %v", err)
		}
		return
	}
	for _, name := range []string{"", "-a", "A", "a/b", "..", strings.Repeat("a", 25)} {
		if lab, err := New(t.Context(), name, Options{}); err == nil {
			testkit.Check(t, lab.Close())
			t.Errorf("name %q was taken", name)
		}
	}
	lab := open(t, "t-plain", Options{})
	if err := lab.StartLibvirt(t.Context()); err == nil {
		t.Error("libvirt started in a lab without its folders")
	}
}
