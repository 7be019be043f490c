package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// sideBySide has one rented VM and one bare one run at once, and measures
// what the rented one's way to its tenant costs.
func sideBySide(ctx context.Context, o Options, bare *bareVM) (err error) {
	const name = "bench-side"
	if _, err := bare.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop(context.WithoutCancel(ctx))) }()
	if _, err := rented(ctx, o, name); err != nil {
		return err
	}
	if err := connects(ctx, o, bare, name); err != nil {
		return err
	}
	if err := streams(ctx, o, bare, name); err != nil {
		return err
	}
	if err := guestAgent(ctx, o, name); err != nil {
		return err
	}
	if err := adopt(ctx, o, name); err != nil {
		return err
	}
	_, err = o.Tenant.Run(ctx, "vm", "rm", name, "--yes", "--wait")
	return err
}

// connects measures `ssh true` with the tunnel up, beside plain ssh.
func connects(ctx context.Context, o Options, bare *bareVM, name string) error {
	var mesh, plain []float64
	for range o.Runs {
		start := time.Now()
		if _, err := o.Tenant.SSH(ctx, name, "true"); err != nil {
			return err
		}
		mesh = append(mesh, time.Since(start).Seconds()*1000)
		start = time.Now()
		if err := bare.command(ctx, "true").Run(); err != nil {
			return fmt.Errorf("plain ssh: %w", err)
		}
		plain = append(plain, time.Since(start).Seconds()*1000)
	}
	o.print("mesh_ssh_connect_ms", median(mesh), "ms")
	o.print("plain_ssh_connect_ms", median(plain), "ms")
	return nil
}

// streamBytes is what is fetched by ssh; a guest under emulation gives a few
// hundred kilobytes a second.
const streamBytes = 1 << 20

// streams measures what ssh brings from the VMs, first byte to last.
func streams(ctx context.Context, o Options, bare *bareVM, name string) error {
	remote := "head -c " + strconv.Itoa(streamBytes) + " /dev/zero"
	var ratios, mesh, plain []float64
	for range min(o.Runs, 3) {
		cmd := o.Tenant.Command(ctx, "ssh", "-i", o.Tenant.Key(), name, remote)
		a, err := speed(cmd.StdoutPipe, cmd.Start, cmd.Wait)
		if err != nil {
			return fmt.Errorf("ssh over the mesh: %w", err)
		}
		other := bare.command(ctx, remote)
		b, err := speed(other.StdoutPipe, other.Start, other.Wait)
		if err != nil {
			return fmt.Errorf("plain ssh: %w", err)
		}
		ratios, mesh, plain = append(ratios, a/b), append(mesh, a*8/1e6), append(plain, b*8/1e6)
	}
	o.print("ssh_throughput_over_plain", median(ratios), "ratio")
	o.print("ssh_throughput_mesh", median(mesh), "Mbit/s")
	o.print("ssh_throughput_plain", median(plain), "Mbit/s")
	return nil
}

// speed is the bytes a second that a command prints, from its first byte on.
func speed(pipe func() (io.ReadCloser, error), start, wait func() error) (float64, error) {
	out, err := pipe()
	if err != nil {
		return 0, err
	}
	if err := start(); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		return 0, errors.Join(err, wait())
	}
	begun := time.Now()
	n, err := io.Copy(io.Discard, out)
	took := time.Since(begun)
	if err = errors.Join(err, wait()); err == nil && n != streamBytes-1 {
		err = fmt.Errorf("%d bytes of %d came", n+1, streamBytes)
	}
	return float64(n) / took.Seconds(), err
}

// guestAgent measures what the agent takes of its VM when nothing happens.
func guestAgent(ctx context.Context, o Options, name string) error {
	const watch = 15 // seconds
	out, err := o.Tenant.SSH(ctx, name, fmt.Sprintf(`set -e
p=$(pidof hippius-guest); p=${p%%%% *}
look() { cut -d' ' -f14,15 /proc/$p/stat; cut -d' ' -f1 /proc/uptime; }
look; sleep %d; look; awk '/^VmRSS/ { print $2 }' /proc/$p/status`, watch))
	if err != nil {
		return err
	}
	var n []float64
	for word := range strings.FieldsSeq(out) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return fmt.Errorf("what the agent takes: %w", err)
		}
		n = append(n, v)
	}
	if len(n) != 7 {
		return fmt.Errorf("what the agent takes: %q", out)
	}
	const ticks = 100 // a second
	o.print("guest_agent_rss_mb", n[6]/1024, "MB")
	o.print("guest_agent_cpu_percent", 100*(n[3]+n[4]-n[0]-n[1])/ticks/(n[5]-n[2]), "percent")
	return nil
}
