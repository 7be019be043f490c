package agent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/fault"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/miner/crashpoint"
	"github.com/hippius/compute/miner/hypervisor"
)

// A work is something that an agent has to get done, in the order of a VM's life.
type work struct {
	name string
	// order it while there is no agent: the next one finds it.
	order func(c *crash)
	// done tells that it is done, with nothing too much.
	done func(c *crash) bool
}

// crash is a VM's life under an agent that is killed, each time at the same point.
type crash struct {
	*world
	host  *host
	agent *process
	point string
	id    vm.ID
	hit   map[string]bool // works in which the point was reached
	// As it was when the present work was ordered.
	pid, proofs int
}

// works of a life: what tenants ask for, and what befalls a host.
func works() []work {
	running := func(c *crash) bool {
		return c.runs(c.id) && c.inspect(c.id).InstanceSeq == 1 && c.chain.Proven(c.id) > c.proofs
	}
	return []work{
		{"provision", func(c *crash) { c.id = c.newVM() }, running},
		{"reboot", func(c *crash) {
			c.pid = c.inspect(c.id).PID
			c.order(c.id, vm.Reboot)
		}, func(c *crash) bool {
			return running(c) && c.chain.Get(c.id).Status.ObservedRebootSeq == 1 && c.inspect(c.id).PID == c.pid
		}},
		{"stop", func(c *crash) { c.order(c.id, vm.Stop) }, func(c *crash) bool {
			return c.chain.Phase(c.id) == vm.Stopped && len(c.runtime(c.id)) == 0 && c.inspect(c.id).State == hypervisor.StateStopped
		}},
		{"start", func(c *crash) { c.order(c.id, vm.Start) }, running},
		{"grow the disk", func(c *crash) {
			c.pid = c.inspect(c.id).PID
			c.resize(c.id, c.size(1, 2048, 30), false)
		}, func(c *crash) bool {
			return running(c) && c.has(c.id, c.size(1, 2048, 30)) && c.inspect(c.id).PID == c.pid
		}},
		{"resize", func(c *crash) { c.resize(c.id, c.size(2, 4096, 40), true) }, func(c *crash) bool {
			return running(c) && c.has(c.id, c.size(2, 4096, 40))
		}},
		{"start fails once", func(c *crash) {
			// As after a start, but from a VM that died, and whose next start fails.
			if err := c.driver.KillProcess(c.id); err != nil {
				c.t.Fatal(err)
			}
			c.driver.FailStarts(c.id, 1)
			c.forgetStarts()
		}, func(c *crash) bool {
			return running(c) && c.chain.Saw(c.id, "provisioning "+vm.ReasonHostProcessDied)
		}},
		{"paused by a full disk", func(c *crash) {
			if err := c.driver.PauseForSpace(c.id); err != nil {
				c.t.Fatal(err)
			}
		}, running},
		{"next instance", func(c *crash) {
			c.forgetStarts()
			c.chain.Change(c.id, func(v *vm.VM) {
				v.Status.InstanceSeq, v.Status.Phase = 2, vm.Assigned
			})
		}, func(c *crash) bool { return c.runs(c.id) && c.inspect(c.id).InstanceSeq == 2 }},
		{"rebuild", func(c *crash) {
			c.order(c.id, vm.Rebuild)
			c.host.mu.Lock()
			defer c.host.mu.Unlock()
			c.host.disks = 0
		}, func(c *crash) bool { return c.has(c.id, c.size(2, 4096, 40)) && c.inspect(c.id).InstanceSeq == 3 }},
		{"terminate", func(c *crash) { c.order(c.id, vm.Terminate) }, func(c *crash) bool {
			return c.chain.Phase(c.id) == vm.Terminated && c.nothingLeft(c.id)
		}},
		{"leftovers of a lost database", leftovers, func(c *crash) bool { return c.nothingLeft(c.id) && c.imageCount() == 0 }},
	}
}

// leftovers puts a VM that has ended here as it would be if the agent's database had been lost meanwhile: its domain,
// and a seed without a domain, whose owner is unknown too; and its image, which nobody needs any more.
func leftovers(c *crash) {
	c.wantDisks()
	if _, err := hypervisor.Sweep(c.t.Context(), c.driver, time.Now().Add(time.Hour)); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.dir, stateName)); err != nil {
		c.t.Fatal(err)
	}
	m := hypervisor.Definition{
		ID: c.id, InstanceSeq: 2, Generation: 4, VCPUs: 1, MemoryMiB: 64, DiskBytes: 1 << 20, BaseImage: "/x", BaseFormat: "raw",
		DiskKey: make([]byte, hypervisor.DiskKeyBytes),
	}
	if err := errors.Join(c.driver.Define(c.t.Context(), m), c.driver.CreateDisk(c.t.Context(), m.Root())); err != nil {
		c.t.Fatal(err)
	}
	stranger := filepath.Join(c.dir, "seeds", fmt.Sprintf("%032x.iso", 0xfeed))
	if err := os.WriteFile(stranger, []byte("secrets"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour)
	for _, path := range c.imageFiles() {
		if err := os.Chtimes(path, long, long); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *crash) imageFiles() []string {
	files, err := filepath.Glob(filepath.Join(c.dir, "images", "*"))
	if err != nil {
		c.t.Fatal(err)
	}
	return files
}

func (c *crash) imageCount() int { return len(c.imageFiles()) }

// forgetStarts counts anew: a VM that died may be started again in the same generation.
func (c *crash) forgetStarts() {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	clear(c.host.starts)
}

// nothingLeft of a VM, on this host or in the agent's memory.
func (c *crash) nothingLeft(id vm.ID) bool {
	return len(c.leftovers(id)) == 0 && c.records() == 0
}

// records counts what the agent remembers, in a copy of its database: the process has it open.
func (c *crash) records() int {
	const unknown = -1
	data, err := os.ReadFile(filepath.Join(c.dir, stateName))
	if err != nil {
		return unknown
	}
	path := filepath.Join(c.dir, "copy.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	db, err := store.Open(path, migrations()...)
	if err != nil {
		return unknown // copied while it was written
	}
	ids := map[string]bool{}
	err = db.View(func(tx *store.Tx) error {
		var errs []error
		for _, bucket := range []string{"agent_vms", "agent_released", "agent_local"} {
			errs = append(errs, store.NewBlobs(bucket).Each(tx, "", func(id string, _ []byte) error { ids[id] = true; return nil }))
		}
		return errors.Join(errs...)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return unknown
	}
	return len(ids)
}

// settle is how long an agent whose work shows has to come to the point after it.
const settle = 150 * time.Millisecond

// get a work done by an agent that is killed when it comes to the point, and by the next one.
func (c *crash) get(w work) {
	c.t.Helper()
	if err := c.agent.kill(); err != nil {
		c.t.Fatal(err)
	}
	if c.id != "" {
		c.proofs = c.chain.Proven(c.id)
	}
	w.order(c)
	c.agent = c.host.spawn(c.t, c.point+"=kill")
	c.until(w.name+", or dead", func() bool { return c.agent.ended() || w.done(c) })
	if c.agent.ended() {
		if err := c.agent.killed(); err != nil {
			c.t.Fatal(err)
		}
		c.hit[w.name] = true
		c.agent = c.host.spawn(c.t, "")
	}
	c.until(w.name, func() bool { return w.done(c) })
	if !c.hit[w.name] && c.agent.dies(settle) { // it came to the point when all was done
		if err := c.agent.killed(); err != nil {
			c.t.Fatal(err)
		}
		c.hit[w.name] = true
		c.agent = c.host.spawn(c.t, "")
		c.until(w.name, func() bool { return w.done(c) })
	}
	c.once(w.name)
}

// once looks that nothing was done twice.
func (c *crash) once(name string) {
	c.t.Helper()
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	for generation, n := range c.host.starts {
		if n != 1 {
			c.t.Errorf("%s: generation %d was started %d times", name, generation, n)
		}
	}
	if c.host.disks > 1 {
		c.t.Errorf("%s: %d disks were made", name, c.host.disks)
	}
	if found, err := c.driver.List(c.t.Context()); err != nil || len(found) > 1 {
		c.t.Errorf("%s: VMs %v, %v", name, found, err)
	}
	if c.chain.Phase(c.id) == vm.Failed {
		c.t.Errorf("%s: the VM failed: %s", name, c.chain.Account())
	}
}

// live a life with an agent that is killed at one point, and give the works in which it came there.
func (c *crash) live() {
	c.t.Helper()
	c.agent = c.host.spawn(c.t, "")
	for _, w := range works() {
		c.get(w)
		if c.t.Failed() {
			return
		}
	}
	if err := c.agent.kill(); err != nil {
		c.t.Error(err)
	}
	c.wantClean()
}

// tell what is left and what the last agent said, if something is wrong.
func (c *crash) tell() {
	if c.t.Failed() {
		c.t.Logf("left of the VM: %v, and %d records", c.leftovers(c.id), c.records())
	}
	if err := c.agent.kill(); err != nil {
		c.t.Log(err)
	} else if c.t.Failed() {
		c.t.Logf("the agent said:\n%s", c.agent.said.String())
	}
}

func (c *crash) files(parts ...string) (names []string) {
	c.t.Helper()
	entries, err := os.ReadDir(filepath.Join(append([]string{c.dir}, parts...)...))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantDisks looks at what the VM's life leaves: its disks before and after it was rebuilt, in the trash, the first not booted
// too often.
func (c *crash) wantDisks() {
	c.t.Helper()
	trash := c.files("vms", "trash")
	if len(trash) != 2 || !strings.HasPrefix(trash[0], string(c.id)) {
		c.t.Fatalf("in the trash: %v", trash)
	}
	var disk struct{ Boots int }
	text, err := os.ReadFile(filepath.Join(c.dir, "vms", "trash", trash[0]))
	if err == nil {
		err = json.Unmarshal(text, &disk)
	}
	// Created, rebooted, started, resized, died, moved. A reboot of which the agent did not live to take note is asked again.
	most := 6
	if c.hit["reboot"] {
		most++
	}
	if err != nil || disk.Boots < 6 || disk.Boots > most {
		c.t.Errorf("the disk was booted %d times, %v", disk.Boots, err)
	}
}

// wantClean looks that nothing is left in the end.
func (c *crash) wantClean() {
	c.t.Helper()
	for _, dir := range []string{"seeds", "images", "vms/disks"} {
		// What was being written when the agent was killed goes when the next one starts.
		if left := c.files(dir); len(left) != 0 {
			c.t.Errorf("left in %s: %v", dir, left)
		}
	}
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if len(c.network.ports) != 0 {
		c.t.Errorf("taps left: %v", c.network.ports)
	}
}

// atOnce is how many lives are lived at the same time: they wait more than they work.
const atOnce = 8

// An agent's process is killed with -9 at every point that it comes to, in each work of a VM's life. The next process
// gets the work done; nothing is done twice and nothing stays behind.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	points := crashpoint.Of("agent", "seed", "image")
	var mu sync.Mutex
	hits := map[string][]string{}
	jobs := make(chan string)
	var pool sync.WaitGroup
	for range atOnce {
		pool.Go(func() {
			for point := range jobs {
				t.Run(point, func(t *testing.T) {
					c := &crash{world: newWorld(t), point: point, hit: map[string]bool{}}
					c.host = newHost(c.world)
					t.Cleanup(c.tell)
					c.live()
					mu.Lock()
					defer mu.Unlock()
					for _, w := range works() {
						if c.hit[w.name] {
							hits[point] = append(hits[point], w.name)
						}
					}
				})
			}
		})
	}
	for _, point := range points {
		jobs <- point
	}
	close(jobs)
	pool.Wait()
	if t.Failed() {
		return
	}
	for _, point := range points {
		t.Logf("%-24s killed in: %s", point, strings.Join(hits[point], ", "))
		if len(hits[point]) == 0 {
			t.Errorf("no agent ever came to %s", point)
		}
	}
	for _, w := range works() {
		n := 0
		for _, names := range hits {
			if slices.Contains(names, w.name) {
				n++
			}
		}
		t.Logf("%s: killed at %d points", w.name, n)
	}
	// A mistyped point would never be reached: the kit is asked, too.
	if os.Getenv(fault.Env) != "" {
		t.Errorf("%s is set for the tests themselves", fault.Env)
	}
}
