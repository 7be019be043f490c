// Package demo does the main job on a running network as a tenant would, with
// the command line alone, and checks each step: rent a VM, use it through
// its whole life, pay for exactly the seconds it was alive.
package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Options of a demonstration.
type Options struct {
	Tenant *Tenant
	// Profile of the network.
	Profile string
	// Image and Plan of the first VM.
	Image, Plan string
	// Hello is the first command on it, HelloWord what it must print.
	Hello, HelloWord string
	// App it starts with, empty for none, and Check, a command that proves the app is there.
	App, Check string
	// Second is the image of the second VM.
	Second string
	// While both VMs run, a test does this besides. May be nil.
	While func(ctx context.Context) error
	// Audit checks the books of the whole network once all VMs are gone.
	Audit Audit
	// Operators of the network's miners.
	Operators []Operator
	Out       io.Writer
}

// step is one thing shown.
type step struct {
	name string
	do   func(ctx context.Context) error
}

// Run shows every step with its seconds and ends at the first that fails.
func Run(ctx context.Context, o Options) error {
	d := &demo{Options: o}
	for _, s := range []step{
		{"a wallet on the network", d.wallet},
		{"credits bought, an SSH key added", d.account},
		{"web-1: " + o.Image + " on plan " + o.Plan, d.create},
		{"SSH over the mesh", d.login},
		{"a file is written, the VM reboots", d.reboot},
		{"stop and start: the file, the address and the host key are still there", d.stopStart},
		{"a second VM, reached from the first over the mesh", d.neighbour},
		{"the charge accrues by the second; what is older than the lag is settled", d.settle},
		{"both terminated", d.terminate},
		{"the bill is rate × attested seconds, the split exact", d.bill},
		{"the miners are paid", d.claims},
	} {
		if err := d.timed(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

type demo struct {
	Options
	address string
}

func (d *demo) timed(ctx context.Context, s step) error {
	_, _ = fmt.Fprintf(d.Out, "\n== %s\n", s.name)
	start := time.Now()
	if err := s.do(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	_, _ = fmt.Fprintf(d.Out, "   %.1f s\n", time.Since(start).Seconds())
	return nil
}

// all runs commands one after the other.
func (d *demo) all(ctx context.Context, calls ...[]string) error {
	for _, c := range calls {
		if _, err := d.Tenant.Run(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) wallet(ctx context.Context) error {
	return d.all(ctx, []string{"login", "--network", d.Profile})
}

func (d *demo) account(ctx context.Context) error {
	return d.all(ctx,
		[]string{"billing", "buy", "20"},
		[]string{"key", "add", "laptop", d.Tenant.Key() + ".pub"},
		[]string{"plan", "ls"},
		[]string{"miner", "ls"},
	)
}

func (d *demo) create(ctx context.Context) error {
	create := []string{"vm", "create", "web-1", "--plan", d.Plan, "--image", d.Image}
	order := append(slices.Clone(create), "--wait")
	if d.App != "" {
		order = append(order, "--app", d.App)
	}
	return d.all(ctx, append(create, "--dry-run"), order)
}

// expect runs a command on a VM and looks for a word in what it prints.
func (d *demo) expect(ctx context.Context, vm, command, word string) error {
	out, err := d.Tenant.SSH(ctx, vm, command)
	if err != nil {
		return err
	}
	if !strings.Contains(out, word) {
		return fmt.Errorf("%q on %s printed %q; want %q in it", command, vm, out, word)
	}
	return nil
}

func (d *demo) login(ctx context.Context) error {
	if err := d.expect(ctx, "web-1", d.Hello, d.HelloWord); err != nil {
		return err
	}
	if d.App == "" {
		return nil
	}
	_, err := d.Tenant.SSH(ctx, "web-1", d.Check)
	return err
}

const note = "written before the reboot"

func (d *demo) reboot(ctx context.Context) error {
	var v VM
	if err := d.Tenant.JSON(ctx, &v, "vm", "show", "web-1"); err != nil {
		return err
	}
	d.address = v.MeshAddress
	if _, err := d.Tenant.SSH(ctx, "web-1", "echo "+note+" > note; sync; uptime -s"); err != nil {
		return err
	}
	if err := d.all(ctx, []string{"vm", "reboot", "web-1", "--wait"}); err != nil {
		return err
	}
	return d.expect(ctx, "web-1", "uptime -s; cat note", note)
}

func (d *demo) stopStart(ctx context.Context) error {
	err := d.all(ctx,
		[]string{"vm", "stop", "web-1", "--wait"},
		[]string{"vm", "start", "web-1", "--wait"},
	)
	if err != nil {
		return err
	}
	if err := d.expect(ctx, "web-1", "cat note; ip -4 -o address | grep 100.64", note); err != nil {
		return err
	}
	var v VM
	if err := d.Tenant.JSON(ctx, &v, "vm", "show", "web-1"); err != nil {
		return err
	}
	if v.MeshAddress != d.address {
		return fmt.Errorf("the address was %s and is %s", d.address, v.MeshAddress)
	}
	return nil
}

func (d *demo) neighbour(ctx context.Context) error {
	if err := d.all(ctx, []string{"vm", "create", "small-1", "--plan", d.Plan, "--image", d.Second, "--wait"}); err != nil {
		return err
	}
	var v VM
	if err := d.Tenant.JSON(ctx, &v, "vm", "show", "small-1"); err != nil {
		return err
	}
	if err := d.expect(ctx, "small-1", "hostname", "small-1"); err != nil {
		return err
	}
	if err := d.expect(ctx, "web-1", "sudo ping -c 3 -w 30 "+v.MeshAddress, "bytes from "+v.MeshAddress); err != nil {
		return err
	}
	if err := d.forwarded(ctx, v.MeshAddress); err != nil || d.While == nil {
		return err
	}
	return d.While(ctx)
}

// forwarded logs in to the second VM from the first with the tenant's forwarded agent.
func (d *demo) forwarded(ctx context.Context, addr string) error {
	stop, sock, err := startAgent(ctx, d.Tenant.Key(), d.Tenant.Dir)
	if err != nil {
		return err
	}
	defer stop()
	d.Tenant.Agent = sock
	defer func() { d.Tenant.Agent = "" }()
	inner := "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes " + addr + " hostname"
	out, err := d.Tenant.Run(ctx, "ssh", "-i", d.Tenant.Key(), "--option", "ForwardAgent=yes", "web-1", inner)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "small-1") {
		return fmt.Errorf("from web-1, %s says it is %q; want small-1", addr, strings.TrimSpace(out))
	}
	return nil
}

func (d *demo) terminate(ctx context.Context) error {
	return d.all(ctx,
		[]string{"vm", "rm", "web-1", "--yes", "--wait"},
		[]string{"vm", "rm", "small-1", "--yes", "--wait"},
	)
}
