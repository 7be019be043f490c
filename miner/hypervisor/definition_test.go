package hypervisor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hippius/compute/miner/hypervisor"
)

func sound() hypervisor.Definition {
	return hypervisor.Definition{
		ID: "00112233445566778899aabbccddeeff", InstanceSeq: 1, Generation: 3, Name: "web-1",
		VCPUs: 1, MemoryMiB: 256, DiskBytes: 1 << 30, BaseImage: "/var/base.qcow2", BaseFormat: hypervisor.FormatQcow2,
		Seed: "/run/seed.iso", AgentISO: "/run/agent.iso", Tap: "hip0011223344", MAC: "52:54:00:11:22:33",
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := sound().Validate(); err != nil {
		t.Fatalf("sound VM refused: %v", err)
	}
	for name, spoil := range map[string]func(*hypervisor.Definition){
		"short id":       func(m *hypervisor.Definition) { m.ID = "0011" },
		"upper-case id":  func(m *hypervisor.Definition) { m.ID = "00112233445566778899AABBCCDDEEFF" },
		"non-hex id":     func(m *hypervisor.Definition) { m.ID = "zz112233445566778899aabbccddeeff" },
		"no instance":    func(m *hypervisor.Definition) { m.InstanceSeq = 0 },
		"long name":      func(m *hypervisor.Definition) { m.Name = strings.Repeat("x", 65) },
		"control name":   func(m *hypervisor.Definition) { m.Name = "a\nb" },
		"no vcpus":       func(m *hypervisor.Definition) { m.VCPUs = 0 },
		"many vcpus":     func(m *hypervisor.Definition) { m.VCPUs = 257 },
		"no memory":      func(m *hypervisor.Definition) { m.MemoryMiB = 0 },
		"no disk":        func(m *hypervisor.Definition) { m.DiskBytes = 0 },
		"odd disk":       func(m *hypervisor.Definition) { m.DiskBytes = 1000 },
		"format":         func(m *hypervisor.Definition) { m.BaseFormat = "vmdk" },
		"firmware":       func(m *hypervisor.Definition) { m.Firmware = "coreboot" },
		"relative base":  func(m *hypervisor.Definition) { m.BaseImage = "base.qcow2" },
		"no base":        func(m *hypervisor.Definition) { m.BaseImage = "" },
		"relative seed":  func(m *hypervisor.Definition) { m.Seed = "../seed.iso" },
		"tap, no mac":    func(m *hypervisor.Definition) { m.MAC = "" },
		"mac, no tap":    func(m *hypervisor.Definition) { m.Tap = "" },
		"long tap":       func(m *hypervisor.Definition) { m.Tap = "abcdefghijklmnop" },
		"tap path":       func(m *hypervisor.Definition) { m.Tap = "../x" },
		"multicast mac":  func(m *hypervisor.Definition) { m.MAC = "01:54:00:11:22:33" },
		"infiniband mac": func(m *hypervisor.Definition) { m.MAC = "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01" },
	} {
		m := sound()
		spoil(&m)
		if err := m.Validate(); !errors.Is(err, hypervisor.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// The key is what stands between a tenant's data and whoever reads the logs.
func TestDiskKeyNeverPrints(t *testing.T) {
	t.Parallel()
	key := hypervisor.DiskKey(bytes.Repeat([]byte("K"), hypervisor.DiskKeyBytes))
	m := sound()
	m.DiskKey = key

	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("defined", "disk_key", key, "definition", m) //nolint:sloglint // keys of this test alone
	text := slog.New(slog.NewTextHandler(&out, nil))
	text.Info("defined", "disk_key", key, "definition", m) //nolint:sloglint // keys of this test alone
	fmt.Fprintf(&out, "%v %+v %#v %s %x %X %q %d\n", key, key, key, key, key, key, key, key)
	fmt.Fprintf(&out, "%v %+v %#v\n", m, m, m)
	if err := json.NewEncoder(&out).Encode(m); err != nil {
		t.Fatal(err)
	}

	for what, leak := range map[string]string{
		"plain": "KKKK", "hex": "4b4b4b", "upper hex": "4B4B4B", "decimal": "75 75",
		"base64": string(key.Passphrase()), "go syntax": "0x4b, 0x4b",
	} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the key shows in %s:\n%s", what, out.String())
		}
	}
	if !strings.Contains(out.String(), "[disk key]") {
		t.Error("nothing was printed in its place")
	}
}
