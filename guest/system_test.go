package guest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/guest"
)

func TestReadConfigFindsTheSeed(t *testing.T) {
	t.Parallel()
	cfg, _ := testConfig(t)
	cfg.Version = 1
	for name, place := range map[string]func(t *testing.T, root string){
		"by label": func(t *testing.T, root string) {
			t.Helper()
			writeSeed(t, filepath.Join(root, "dev/disk/by-label/CIDATA"), "CIDATA", cfg)
		},
		"by lower-case label": func(t *testing.T, root string) {
			t.Helper()
			writeSeed(t, filepath.Join(root, "dev/disk/by-label/cidata"), "cidata", cfg)
		},
		"by looking at every disk": func(t *testing.T, root string) {
			t.Helper()
			for _, d := range []string{"sr0", "vda", "vdb", "vdz"} {
				write(t, root, "sys/class/block/"+d+"/size", "1")
			}
			write(t, root, "dev/sr0", "short")
			write(t, root, "dev/vda", strings.Repeat("no iso ", 10000))
			writeSeed(t, filepath.Join(root, "dev/vdb"), "HIPPIUS", wire.Config{})
			writeSeed(t, filepath.Join(root, "dev/vdz"), "CIDATA", cfg)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			place(t, root)
			got, err := (&guest.System{Root: root}).ReadConfig()
			if err != nil {
				t.Fatal(err)
			}
			if got.VMID != cfg.VMID || got.Seq != cfg.Seq || got.SSHHostKey != cfg.SSHHostKey {
				t.Errorf("read %+v, want %+v", got, cfg)
			}
		})
	}
}

func TestReadConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	m := &guest.System{Root: root}
	if _, err := m.ReadConfig(); !errors.Is(err, guest.ErrNoSeed) {
		t.Errorf("without a medium: %v, want ErrNoSeed", err)
	}
	path := filepath.Join(root, "dev/disk/by-label/CIDATA")
	writeISO(t, path, "CIDATA", "meta-data", []byte("x"))
	if _, err := m.ReadConfig(); err == nil || !strings.Contains(err.Error(), wire.ConfigFile) {
		t.Errorf("seed without configuration: %v, want one naming the file", err)
	}
	writeISO(t, path, "CIDATA", wire.ConfigFile, make([]byte, wire.MaxConfig+1))
	if _, err := m.ReadConfig(); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("oversized configuration: %v, want a bound", err)
	}
	writeISO(t, path, "CIDATA", wire.ConfigFile, []byte("{}"))
	if _, err := m.ReadConfig(); err == nil {
		t.Error("empty configuration accepted")
	}
}

// What is attached may be half written, or anything: an agent that dies of it says nothing.
func TestReadConfigOutlivesBrokenMedia(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	seed := filepath.Join(root, "dev/disk/by-label/CIDATA")
	cfg, _ := testConfig(t)
	writeSeed(t, seed, "CIDATA", cfg)
	whole, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	m := &guest.System{Root: root}
	if _, err := m.ReadConfig(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for at := 16 * 2048; at < len(whole); at += 512 {
		blank := append([]byte(nil), whole...)
		clear(blank[at:min(at+2048, len(blank))])
		for _, broken := range [][]byte{whole[:at], blank} {
			if err := os.WriteFile(seed, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := m.ReadConfig(); err != nil {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("every broken medium was read")
	}
}

func TestInstallHostKey(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n")
	m := &guest.System{Root: root}
	changed, err := m.InstallHostKey("KEY", "CERT")
	if err != nil || !changed {
		t.Fatalf("first: changed %v, %v", changed, err)
	}
	for name, want := range map[string]string{
		"etc/ssh/hippius/host_key":              "KEY\n",
		"etc/ssh/hippius/host_key-cert.pub":     "CERT\n",
		"etc/ssh/sshd_config":                   "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
		"etc/ssh/sshd_config.d/10-hippius.conf": "",
	} {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if want != "" && string(got) != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	info, err := os.Stat(filepath.Join(root, "etc/ssh/hippius/host_key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key's mode %v, %v; sshd refuses a key others can read", info.Mode(), err)
	}
	if changed, err := m.InstallHostKey("KEY", "CERT"); err != nil || changed {
		t.Errorf("again: changed %v, %v", changed, err)
	}
	if changed, err := m.InstallHostKey("KEY2", "CERT"); err != nil || !changed {
		t.Errorf("next instance: changed %v, %v", changed, err)
	}
}

func TestInstallHostKeyIncludesDropIns(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	const old = "# Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n"
	write(t, root, "etc/ssh/sshd_config", old)
	m := &guest.System{Root: root}
	for range 2 {
		if _, err := m.InstallHostKey("KEY", "CERT"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(filepath.Join(root, "etc/ssh/sshd_config"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "Include /etc/ssh/sshd_config.d/*.conf\n" + old; string(got) != want {
		t.Errorf("sshd_config is %q, want %q", got, want)
	}
}

func TestSSHListener(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	m := &guest.System{Root: root}
	if _, ok := m.SSHListener(); ok {
		t.Error("a listener without a pid file")
	}
	write(t, root, "run/sshd.pid", "4711\n")
	if _, ok := m.SSHListener(); ok {
		t.Error("a listener without a process")
	}
	const tail = " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 1234 0 0\n"
	write(t, root, "proc/4711/stat", "4711 (bash)"+tail)
	if _, ok := m.SSHListener(); ok {
		t.Error("another program under sshd's old pid was taken for it")
	}
	write(t, root, "proc/4711/stat", "4711 (sshd)"+tail)
	l, ok := m.SSHListener()
	if !ok || l.PID != 4711 || l.Started.Milliseconds() != 12340 {
		t.Errorf("listener %+v %v, want pid 4711 started at 12.34 s", l, ok)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, "proc/stat", "cpu  100 5 20 9000 77 1 2 3 50 50\ncpu0 1 1 1 1\n")
	write(t, root, "proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:    1500 kB\n")
	write(t, root, "proc/net/dev", "Inter-| Receive | Transmit\n face |bytes\n"+
		"    lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\n"+
		"  eth0: 100 0 0 0 0 0 0 0 200 0 0 0 0 0 0 0\n"+
		guest.TunName+": 7 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n")
	got, err := (&guest.System{Root: root}).Metrics()
	if err != nil {
		t.Fatal(err)
	}
	if got.CPUMilli != 1310 || got.MemoryTotalKiB != 2048 || got.MemoryUsedKiB != 548 || got.RxBytes != 100 || got.TxBytes != 200 {
		t.Errorf("metrics %+v", got)
	}
	if got.RootTotalKiB == 0 || got.RootUsedKiB > got.RootTotalKiB {
		t.Errorf("root %d of %d KiB", got.RootUsedKiB, got.RootTotalKiB)
	}
}
