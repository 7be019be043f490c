package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/devnet"
	"github.com/hippius/compute/daemon/devnet/demo"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/testkit"
)

// crashes is one VM on one miner, under which everything crashes in turn.
type crashes struct {
	net     *devnet.Net
	tenant  *demo.Tenant
	ledger  *ledger
	id      vm.ID
	address string
	session *session
	// built is the miner's program as it was built, program the file that runs.
	built, program string
}

const (
	minerProgram = "miner0"
	libvirtd     = "libvirtd0"
	crashVM      = "web"
	// deaf is how long a guest that does not listen is asked to power off.
	deaf = 12 * time.Second
	// gapOfCrashes is less than the chain's default, so as not to wait for it. Batches are 30 s apart.
	gapOfCrashes = 45 * time.Second
)

// Every program of a network is killed under a VM with an SSH session
// open, then the VM itself, then the power of its host. What lives on must
// live on, what died must come back with what it had, and the tenant pays for
// no second that nobody attests.
func TestCrashAnywhere(t *testing.T) {
	program, built := filepath.Join(t.TempDir(), minerBinary), filepath.Join(repository(t), "build/bin", minerBinary)
	n, u := realNetwork(t, func(c *devnet.Config) {
		install(t, built, program)
		c.Programs = map[string]string{minerBinary: program}
		c.Tag, c.Miners, c.Disks, c.ProofGap = "hiptc", 1, true, gapOfCrashes
		c.Miner = func(m *miner.Config) { m.Timing.StopTimeout = deaf }
	})
	c := &crashes{net: n, tenant: u, built: built, program: program}
	c.rent(t)
	defer func() { c.session.close() }()
	for _, s := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the miner, and it is back soon", c.minerShortly},
		{"the miner, and it is away for long", c.minerForLong},
		{"the node", c.node},
		{"the VM's process", c.process},
		{"the power", c.power},
		{"the guest floods its channel and its console", c.floods},
		{"the miner is upgraded", c.upgrade},
		{"the guest powers itself off", c.guestOff},
		{"a deaf guest, stopped while the miner is down", c.deafGuest},
		{"terminated while libvirtd is down", c.terminated},
		{"the books", c.books},
	} {
		if !t.Run(s.name, s.run) {
			return // the rest would only fail after it
		}
	}
}

// run calls the command line.
func (c *crashes) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.tenant.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (c *crashes) ssh(t *testing.T, command string) string {
	t.Helper()
	return c.run(t, "ssh", "-i", c.tenant.Key(), crashVM, command)
}

func (c *crashes) kill(t *testing.T, program string) {
	t.Helper()
	t.Logf("kill -9 %s", program)
	if err := c.net.Kill(program); err != nil {
		t.Fatal(err)
	}
}

func (c *crashes) restart(t *testing.T, program string) {
	t.Helper()
	t.Logf("start %s", program)
	if err := c.net.Restart(t.Context(), program); err != nil {
		t.Fatal(err)
	}
}

func (c *crashes) rent(t *testing.T) {
	t.Helper()
	c.run(t, "login", "--network", c.net.Profile())
	c.run(t, "billing", "buy", "20")
	c.run(t, "key", "add", "laptop", c.tenant.Key()+".pub")
	c.run(t, "vm", "create", crashVM, "--plan", "spark", "--image", "tiny", "--wait")
	var v demo.VM
	if err := c.tenant.JSON(t.Context(), &v, "vm", "show", crashVM); err != nil {
		t.Fatal(err)
	}
	c.id, c.address = v.ID, v.MeshAddress
	c.ledger = follow(t, c.net, c.id)
	c.session = openSession(t, c.tenant, crashVM)
}

// process is a QEMU, named so that another with the same number is not taken for it.
type process struct {
	pid   int
	start string
}

// qemu finds the VM's process; the zero value for none.
func (c *crashes) qemu(t *testing.T) process {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte("/usr/bin/qemu-system")) || !bytes.Contains(line, fmt.Append(nil, "guest=hip-miner0-", c.id)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		if err != nil {
			continue // it has just ended
		}
		const startTime = 19 // counted after the name
		return process{pid, strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[startTime]}
	}
	return process{}
}

// gone waits until the VM has no process.
func (c *crashes) gone(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, time.Minute, func() error {
		if p := c.qemu(t); p != (process{}) {
			return fmt.Errorf("the VM's process %d lives", p.pid)
		}
		return nil
	})
}

// unharmed runs something that must not be felt by the VM, nor by who is logged in.
func (c *crashes) unharmed(t *testing.T, crash func()) {
	t.Helper()
	before := c.qemu(t)
	if before == (process{}) {
		t.Fatal("the VM has no process")
	}
	crash()
	c.session.goesOn(t)
	if now := c.qemu(t); now != before {
		t.Fatalf("the VM's process was %+v and is %+v", before, now)
	}
}

func running(e entry) bool { return e.phase == vm.Running && e.readyAt != 0 }

// back waits until the VM runs, after a mark, in another process, and logs in anew.
func (c *crashes) back(t *testing.T, mark int, died process) {
	t.Helper()
	c.session.close()
	c.ledger.await(t, mark, "running again", running)
	if now := c.qemu(t); now == died || now == (process{}) {
		t.Errorf("the VM's process was %+v and is %+v", died, now)
	}
	var v demo.VM
	if err := c.tenant.JSON(t.Context(), &v, "vm", "show", crashVM); err != nil {
		t.Fatal(err)
	}
	if v.MeshAddress != c.address {
		t.Errorf("the address was %s and is %s", c.address, v.MeshAddress)
	}
	c.session = openSession(t, c.tenant, crashVM)
}

func (c *crashes) minerShortly(t *testing.T) {
	var mark int
	before := c.ledger.now()
	c.unharmed(t, func() {
		c.kill(t, minerProgram)
		c.session.goesOn(t)
		mark = c.ledger.mark()
		c.restart(t, minerProgram)
		c.ledger.await(t, mark, "attested again", func(e entry) bool { return e.lastAt > before.lastAt })
	})
	after := c.ledger.now()
	if after.readyAt != before.readyAt || after.running-before.running != after.lastAt-before.lastAt {
		t.Errorf("not every second of a short outage is charged:\n%s", listed([]entry{before, after}))
	}
}

// The miner is away for longer than a proof covers. Meanwhile the others crash, too:
// nothing of what a VM needs to go on is the miner's.
func (c *crashes) minerForLong(t *testing.T) {
	var before, after entry
	c.unharmed(t, func() {
		c.kill(t, minerProgram)
		away := time.Now()
		t.Run("the gateway", c.gateway)
		t.Run("the sentinel", c.sentinel)
		t.Run("libvirtd", c.libvirtd)
		before = c.ledger.now()
		// The last proof may be as old as the kill.
		time.Sleep(time.Until(away.Add(gapOfCrashes + 3*time.Second)))
		c.session.goesOn(t)
		mark := c.ledger.mark()
		c.restart(t, minerProgram)
		after = c.ledger.await(t, mark, "attested again", func(e entry) bool { return e.lastAt > before.lastAt })
	})
	// The first report and the first proof attest the gap before them, and no more.
	charged, away := after.running-before.running, after.lastAt-before.lastAt
	if away <= c.ledger.maxGap || charged < c.ledger.maxGap || charged > away || after.readyAt != before.readyAt {
		t.Errorf("of a long outage what is near its end is to be charged, of the same run:\n%s", listed([]entry{before, after}))
	}
}

// The gateway also relays: a VM may not reach the range that stands for the
// Internet here, so no tunnel is direct. Sessions pause until it is back, and go
// on; new ones are introduced as before.
func (c *crashes) gateway(t *testing.T) {
	before, err := c.net.Chain().Lighthouses(t.Context())
	if err != nil || len(before) != 1 {
		t.Fatalf("lighthouses: %v, %v", before, err)
	}
	c.unharmed(t, func() {
		c.kill(t, "gateway0")
		c.restart(t, "gateway0")
	})
	// Another laptop of the same tenant knows nobody: only the gateway can introduce it.
	phrase := filepath.Join(c.tenant.Dir, "phrase")
	c.run(t, "login", "--backup", phrase)
	other, err := demo.NewTenant(c.tenant.Program, filepath.Join(c.net.Dir(), "laptop"), c.tenant.Out)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Run(t.Context(), "login", "--network", c.net.Profile(), "--import", phrase); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, func() error {
		_, err := other.Run(t.Context(), "ssh", "-i", c.tenant.Key(), crashVM, "true")
		return err
	})
	after, err := c.net.Chain().Lighthouses(t.Context())
	if err != nil || len(after) != 1 {
		t.Fatalf("lighthouses: %v, %v", after, err)
	}
	if a, b := before[0], after[0]; a.Address != b.Address || !bytes.Equal(a.CACertificate, b.CACertificate) {
		t.Errorf("the lighthouse was %v and is %v", a, b)
	}
}

// That the keeper still releases is seen when the VM's process dies: the
// miner, just restarted, knows no secrets any more.
func (c *crashes) sentinel(t *testing.T) {
	c.unharmed(t, func() {
		c.kill(t, "sentinel0")
		c.session.goesOn(t)
		c.restart(t, "sentinel0")
	})
}

func (c *crashes) libvirtd(t *testing.T) {
	c.unharmed(t, func() {
		c.kill(t, libvirtd)
		c.session.goesOn(t)
		c.restart(t, libvirtd)
	})
}

// Without its only validator the chain stands still.
func (c *crashes) node(t *testing.T) {
	head, err := c.net.Chain().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := c.ledger.now()
	mark := c.ledger.mark()
	c.unharmed(t, func() {
		c.kill(t, "validator0")
		c.session.goesOn(t)
		c.restart(t, "validator0")
	})
	testkit.Eventually(t, time.Minute, func() error {
		now, err := c.net.Chain().Head(t.Context())
		if err == nil && now.Height <= head.Height {
			err = fmt.Errorf("the chain is at block %d, was at %d", now.Height, head.Height)
		}
		return err
	})
	after := c.ledger.await(t, mark, "attested again", func(e entry) bool { return e.lastAt > before.lastAt })
	if after.readyAt != before.readyAt {
		t.Errorf("the run was another's:\n%s", listed([]entry{before, after}))
	}
}

func (c *crashes) process(t *testing.T) {
	mark := c.ledger.mark()
	died := c.qemu(t)
	p, err := os.FindProcess(died.pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kill -9 QEMU %d", died.pid)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	c.ledger.await(t, mark, "told why", func(e entry) bool {
		return e.phase == vm.Provisioning && e.reason == vm.ReasonHostProcessDied
	})
	if shown := c.run(t, "vm", "show", crashVM); !strings.Contains(shown, "host process died") {
		// It may be up again by now; the ledger has what was said.
		t.Logf("up again already:\n%s", shown)
	}
	c.back(t, mark, died)
}

// What the guest synced is there after a power loss, and so is what the miner
// must know to start the VM again.
func (c *crashes) power(t *testing.T) {
	c.ssh(t, "echo precious > kept; sync")
	// A canary of each kind shows that the disk forgets what it may.
	at := filepath.Join(c.net.Dir(), minerProgram)
	write := fmt.Sprintf("cd %s && echo 1 > synced && sync synced && echo 2 > unsynced", at)
	if out, err := c.net.Lab(0).Command(t.Context(), "bash", "-c", write).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	identity := c.minerIdentity(t)
	mark := c.ledger.mark()
	died := c.qemu(t)
	t.Log("the power goes")
	if err := c.net.CutPower(0); err != nil {
		t.Fatal(err)
	}
	if now := c.qemu(t); now != (process{}) {
		t.Fatalf("process %d has outlived its host", now.pid)
	}
	if err := c.net.PowerOn(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	out, err := c.net.Lab(0).Command(t.Context(), "bash", "-c", "cd "+at+" && ls -d *synced && cat synced").CombinedOutput()
	if err != nil || string(out) != "synced\n1\n" {
		t.Errorf("the disk came back with %q, %v", out, err)
	}
	c.ledger.await(t, mark, "told why", func(e entry) bool { return e.reason == vm.ReasonHostProcessDied })
	c.back(t, mark, died)
	if got := c.ssh(t, "cat kept"); got != "precious\n" {
		t.Errorf("what was synced is %q", got)
	}
	if now := c.minerIdentity(t); now != identity {
		t.Errorf("the miner was known as %s and is now %s", identity, now)
	}
}

func (c *crashes) minerIdentity(t *testing.T) string {
	t.Helper()
	all, err := c.net.Chain().Miners(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("miners: %v, %v", all, err)
	}
	return fmt.Sprintf("%x at %s", all[0].Identity, all[0].Endpoint)
}

// A guest that powers itself off stays off until its tenant starts it. Charged is its last proof's second at the
// running rate, and from then on what its disk costs.
func (c *crashes) guestOff(t *testing.T) {
	mark := c.ledger.mark()
	before := c.ledger.now()
	c.session.close()
	_, _ = c.tenant.Run(t.Context(), "ssh", "-i", c.tenant.Key(), crashVM, "sudo poweroff") // the connection may break first
	off := func(e entry) bool {
		return e.phase == vm.Stopped && e.reason == vm.ReasonGuestShutdown && !e.on
	}
	e := c.ledger.await(t, mark, "stopped by its guest", off)
	if e.readyAt != 0 || !e.disk || e.running-before.running > e.lastAt-before.lastAt {
		t.Errorf("after its end:\n%s", listed([]entry{before, e}))
	}
	c.gone(t)
	mark = c.ledger.mark()
	c.kill(t, minerProgram)
	c.restart(t, minerProgram)
	after := c.ledger.await(t, mark, "attested on disk", func(now entry) bool { return now.stopped > e.stopped })
	if !off(after) || after.running != e.running {
		t.Errorf("it is off, and yet:\n%s", listed([]entry{e, after}))
	}
	if now := c.qemu(t); now != (process{}) {
		t.Errorf("it was started again as %+v", now)
	}
	c.run(t, "vm", "start", crashVM, "--wait")
	if got := c.ssh(t, "cat kept"); got != "precious\n" {
		t.Errorf("what was synced is %q", got)
	}
}

// The request to stop comes while the miner is down, and the guest hears neither
// its agent nor its power button.
func (c *crashes) deafGuest(t *testing.T) {
	c.ssh(t, "sudo sh -c '(sleep 1; killall -STOP head hippius-guest) > /dev/null 2>&1 < /dev/null &'")
	time.Sleep(2 * time.Second)
	c.kill(t, minerProgram)
	mark := c.ledger.mark()
	c.run(t, "vm", "stop", crashVM)
	c.ledger.await(t, mark, "stopping", func(e entry) bool { return e.phase == vm.Stopping })
	if c.qemu(t) == (process{}) {
		t.Fatal("the VM has no process")
	}
	c.restart(t, minerProgram)
	e := c.ledger.await(t, mark, "stopped", func(e entry) bool { return e.phase == vm.Stopped })
	if e.reason != vm.ReasonForced || !strings.Contains(e.message, deaf.String()) {
		t.Errorf("the tenant is told %q: %q", e.reason, e.message)
	}
	c.gone(t)
	if shown := c.run(t, "vm", "show", crashVM); !strings.Contains(shown, "stopped (forced off)") {
		t.Errorf("shown is\n%s", shown)
	}
}

func (c *crashes) terminated(t *testing.T) {
	c.run(t, "vm", "start", crashVM, "--wait")
	p := c.qemu(t)
	c.kill(t, libvirtd)
	mark := c.ledger.mark()
	c.run(t, "vm", "rm", crashVM, "--yes")
	c.ledger.await(t, mark, "told why it is not gone yet", func(e entry) bool {
		return e.phase == vm.Terminating && e.reason == "hypervisor_down"
	})
	if now := c.qemu(t); now != p {
		t.Errorf("the VM's process was %+v and is %+v", p, now)
	}
	c.restart(t, libvirtd)
	c.ledger.await(t, mark, "terminated", func(e entry) bool { return e.phase == vm.Terminated })
	c.gone(t)
	out, err := c.net.Lab(0).Command(t.Context(), "ip", "-o", "link", "show", "type", "tun").CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) != 0 {
		t.Errorf("taps are left: %s, %v", out, err)
	}
}

// books: after all of it the account was charged what was attested, to the unit.
func (c *crashes) books(t *testing.T) {
	c.ledger.check(t)
	var vms []demo.VM
	var bill demo.Billing
	if err := errors.Join(c.tenant.JSON(t.Context(), &vms, "vm", "ls", "--all"), c.tenant.JSON(t.Context(), &bill, "billing")); err != nil {
		t.Fatal(err)
	}
	if len(vms) != 1 {
		t.Fatalf("VMs %+v", vms)
	}
	owed := vms[0].Units() / 3600
	if bill.Consumed+bill.Accrued != owed || bill.Rate != 0 {
		t.Errorf("bill %+v; owed are %d for %+v", bill, owed, vms[0])
	}
	if _, err := c.net.Audit(t.Context()); err != nil {
		t.Error(err)
	}
}
