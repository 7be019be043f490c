package libvirt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hippius/compute/miner/hypervisor"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestKVMRuledOut(t *testing.T) {
	t.Parallel()
	device := write(t, "")
	for what, c := range map[string]struct {
		cpuinfo, device, says string
	}{
		"neither flag":    {write(t, "flags\t\t: fpu vmx_like svmx\n"), device, "neither vmx nor svm"},
		"flag elsewhere":  {write(t, "vmx flags\t: vmx\nflags\t: fpu\n"), device, "neither vmx nor svm"},
		"no device":       {write(t, "flags\t\t: fpu vmx de\n"), filepath.Join(t.TempDir(), "kvm"), "does not open"},
		"no cpuinfo":      {filepath.Join(t.TempDir(), "cpuinfo"), device, "flags are unknown"},
		"intel, all well": {write(t, "processor: 0\nflags\t\t: fpu vmx de\n"), device, ""},
		"amd, all well":   {write(t, "flags\t\t: svm\n"), device, ""},
	} {
		err := kvmRuledOut(c.cpuinfo, c.device)
		if c.says == "" && err != nil {
			t.Errorf("%s: ruled out: %v", what, err)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", what, err, c.says)
		}
	}
}

// The probe guest has to get to its end where 64-bit guests do, or it would
// rule KVM out everywhere.
func TestProbeGuest(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath(qemuSystem); err != nil {
		t.Skip("runs a guest under QEMU, which is not installed: runs where `make setup` did")
	}
	if err := probe(t.Context(), "tcg"); err != nil {
		t.Errorf("under emulation: %v", err)
	}
	if err := probe(t.Context(), "nonesuch"); err == nil {
		t.Error("an accelerator that does not exist passed")
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	choice, err := Choose(t.Context(), AccelTCG)
	if err != nil || choice.Acceleration != hypervisor.AccelTCG {
		t.Errorf("tcg: %+v, %v", choice, err)
	}
	ruledOut := kvmRuledOut("/proc/cpuinfo", "/dev/kvm")
	choice, err = Choose(t.Context(), AccelAuto)
	if err != nil || choice.Evidence == "" {
		t.Errorf("auto: %+v, %v", choice, err)
	}
	t.Logf("this host: %+v", choice)
	if ruledOut != nil {
		if choice.Acceleration != hypervisor.AccelTCG {
			t.Errorf("%v was chosen although %v", choice.Acceleration, ruledOut)
		}
		if _, err := Choose(t.Context(), AccelKVM); err == nil {
			t.Error("kvm was granted against the evidence")
		}
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	if got, want := uuidText("00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff"; got != want {
		t.Errorf("uuid %s, want %s", got, want)
	}
}
