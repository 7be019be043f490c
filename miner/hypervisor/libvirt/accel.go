package libvirt

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hippius/compute/miner/hypervisor"
)

// Accel is a setting: how guests are to run.
type Accel string

// The settings.
const (
	AccelAuto Accel = "auto" // KVM on evidence, else TCG
	AccelKVM  Accel = "kvm"  // KVM, or New fails
	AccelTCG  Accel = "tcg"  // emulation
)

// Choice is an acceleration and the reason for it.
type Choice struct {
	Acceleration hypervisor.Acceleration
	Evidence     string
}

// probeTime is how long the probe guest may take. With KVM it needs a tenth of
// a second; what only claims to be KVM hangs.
const probeTime = 5 * time.Second

const (
	qemuSystem = "qemu-system-x86_64"
	qemuImg    = "qemu-img"
)

// Choose settles how guests run. That /dev/kvm opens proves nothing: there are
// hosts where it does and 64-bit guests hang. KVM is chosen when the CPU has
// its instructions, the device opens, and a 64-bit guest runs to its end.
func Choose(ctx context.Context, want Accel) (Choice, error) {
	if want == AccelTCG {
		return Choice{hypervisor.AccelTCG, "emulation was asked for"}, nil
	}
	against := kvmRuledOut("/proc/cpuinfo", "/dev/kvm")
	if against == nil {
		against = probe(ctx, "kvm")
	}
	switch {
	case ctx.Err() != nil:
		return Choice{}, ctx.Err()
	case against == nil:
		return Choice{hypervisor.AccelKVM, "a 64-bit guest ran under KVM"}, nil
	case want == AccelKVM:
		return Choice{}, fmt.Errorf("KVM was asked for: %w", against)
	}
	return Choice{hypervisor.AccelTCG, "emulation, because " + against.Error()}, nil
}

// kvmRuledOut says what, short of running a guest, speaks against KVM.
func kvmRuledOut(cpuinfo, device string) error {
	file, err := os.Open(cpuinfo)
	if err != nil {
		return fmt.Errorf("the CPU's flags are unknown: %w", err)
	}
	defer func() { _ = file.Close() }()
	able := false
	lines := bufio.NewScanner(file)
	for lines.Scan() && !able {
		name, flags, _ := strings.Cut(lines.Text(), ":")
		able = strings.TrimSpace(name) == "flags" && slices.ContainsFunc(strings.Fields(flags), func(f string) bool {
			return f == "vmx" || f == "svm"
		})
	}
	if !able {
		return errors.New("the CPU has neither vmx nor svm")
	}
	kvm, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("KVM's device does not open: %w", err)
	}
	return kvm.Close()
}

//go:embed probe/probe.bin
var probeGuest string

// probeExit is QEMU's status when the probe guest got to its end: it hands 42
// to a device that makes that 2·42+1.
const probeExit = 85

// probe runs the probe guest under an accelerator.
func probe(ctx context.Context, accel string) error {
	dir, err := os.MkdirTemp("", "hippius-probe-")
	if err != nil {
		return fmt.Errorf("probe guest: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	image := dir + "/probe.img"
	if err := os.WriteFile(image, []byte(probeGuest), 0o600); err != nil {
		return fmt.Errorf("probe guest: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemuSystem,
		"-accel", accel, "-machine", "pc", "-m", "16", "-nodefaults", "-no-user-config", "-display", "none",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive", "if=ide,format=raw,snapshot=on,file="+image)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("a 64-bit guest under %s did not end in %v", accel, probeTime)
	case errors.As(err, &exit) && exit.ExitCode() == probeExit:
		return nil
	}
	return fmt.Errorf("a 64-bit guest under %s failed: %w: %s", accel, err, out[:min(len(out), 500)])
}

// tbCacheMiB bounds the translated code that emulation keeps, which by default
// grows to a quarter of the guest's memory or more.
const tbCacheMiB = 128

// overheadMiB is what a VM's process may take beyond the guest's memory:
// QEMU itself, its device buffers and the disk encryption's; page cache counts
// against the limit too, but gives way.
func overheadMiB(accel hypervisor.Acceleration) uint64 {
	const process = 256
	if accel == hypervisor.AccelTCG {
		return process + tbCacheMiB
	}
	return process
}
