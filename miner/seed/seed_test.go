package seed_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/seed"
	"github.com/hippius/compute/miner/seed/seedtest"
)

const testVM = "00112233445566778899aabbccddeeff"

func sample() seed.Seed {
	return seed.Seed{
		VMID: testVM, Name: "Web_1", AuthorizedKeys: []string{`ssh-ed25519 AAAA "laptop": #1`, "ssh-rsa BBBB desk"},
		Network: seed.Network{
			MAC: "52:54:00:11:22:33", Address: netip.MustParsePrefix("10.200.0.2/30"),
			Gateway: netip.MustParseAddr("10.200.0.1"), DNS: []netip.Addr{netip.MustParseAddr("10.200.0.1")}, MTU: 1400,
		},
		Guest: wire.Config{ChainID: "test", VMID: testVM, Seq: 2, ProofKey: bytes.Repeat([]byte{1}, 32)},
	}
}

func read(t *testing.T, image []byte) (label string, files map[string][]byte) {
	t.Helper()
	label, files, err := seedtest.Files(image)
	if err != nil {
		t.Fatal(err)
	}
	return label, files
}

func build(t *testing.T, s seed.Seed) map[string][]byte {
	t.Helper()
	image, err := seed.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	label, files := read(t, image)
	if label != wire.SeedLabel {
		t.Errorf("label %q, want %q", label, wire.SeedLabel)
	}
	// Where guests without udev look for it.
	if got := string(image[32808 : 32808+6]); got != "CIDATA" {
		t.Errorf("label at 32808 is %q", got)
	}
	return files
}

func TestSeed(t *testing.T) {
	t.Parallel()
	files := build(t, sample())
	if len(files) != 4 {
		t.Fatalf("%d files, want 4", len(files))
	}
	var meta map[string]string
	if err := yaml.Unmarshal(files["meta-data"], &meta); err != nil {
		t.Fatal(err)
	}
	if meta["instance-id"] != testVM || meta["local-hostname"] != "web-1" {
		t.Errorf("meta-data %v", meta)
	}
	cfg, err := wire.DecodeConfig(files[wire.ConfigFile])
	if err != nil || cfg.Seq != 2 || cfg.Hostname != "web-1" {
		t.Errorf("agent's configuration %+v, %v", cfg, err)
	}
	var net struct {
		Version   int
		Ethernets map[string]struct {
			Match       map[string]string
			SetName     string `yaml:"set-name"`
			MTU         int
			Addresses   []string
			Gateway4    string
			Nameservers struct{ Addresses []string }
		}
	}
	if err := yaml.Unmarshal(files["network-config"], &net); err != nil {
		t.Fatal(err)
	}
	e := net.Ethernets["eth0"]
	if net.Version != 2 || e.Match["macaddress"] != "52:54:00:11:22:33" || e.SetName != "eth0" || e.MTU != 1400 ||
		e.Addresses[0] != "10.200.0.2/30" || e.Gateway4 != "10.200.0.1" || len(e.Nameservers.Addresses) != 1 {
		t.Errorf("network-config %+v", net)
	}
	if !bytes.Contains(files["network-config"], []byte(`macaddress: "52:54:00:11:22:33"`)) {
		t.Error("the MAC is not quoted: YAML 1.1 reads one of digits as a number")
	}
}

func TestUserDataAlone(t *testing.T) {
	t.Parallel()
	data := build(t, sample())["user-data"]
	if !bytes.HasPrefix(data, []byte("#cloud-config\n")) {
		t.Errorf("user-data begins with %.40q", data)
	}
	var c struct {
		Users []struct {
			Name       string
			LockPasswd bool     `yaml:"lock_passwd"`
			Keys       []string `yaml:"ssh_authorized_keys"`
			Sudo       string
		}
		DisableRoot bool  `yaml:"disable_root"`
		SSHPwauth   *bool `yaml:"ssh_pwauth"`
		Bootcmd     []string
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Users) != 1 || c.Users[0].Name != "hippius" || !c.Users[0].LockPasswd || c.Users[0].Sudo == "" {
		t.Fatalf("users %+v", c.Users)
	}
	if !c.DisableRoot || c.SSHPwauth == nil || *c.SSHPwauth {
		t.Error("root or passwords can log in")
	}
	if keys := c.Users[0].Keys; len(keys) != 2 || keys[0] != sample().AuthorizedKeys[0] {
		t.Errorf("keys %q", keys)
	}
	if len(c.Bootcmd) != 3 || !strings.HasSuffix(c.Bootcmd[2], "install.sh") {
		t.Errorf("bootcmd %q", c.Bootcmd)
	}
}

// parts reads multipart user data with the standard library's reader.
func parts(t *testing.T, data []byte) []*mail.Message {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		t.Fatalf("content type %q, %v", kind, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	var out []*mail.Message
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &mail.Message{Header: mail.Header(p.Header), Body: bytes.NewReader(body)})
	}
}

func TestUserDataMerged(t *testing.T) {
	t.Parallel()
	s := sample()
	s.Apps = []seed.App{{Name: "docker", Recipe: "packages: [docker.io]\n"}}
	s.UserData = []byte("#!/bin/sh\necho hello\n")
	got := parts(t, build(t, s)["user-data"])
	if len(got) != 3 {
		t.Fatalf("%d parts, want 3", len(got))
	}
	for i, p := range got {
		merge := p.Header.Get("Merge-Type")
		if (i == 0) != (merge == "") {
			t.Errorf("part %d has Merge-Type %q", i, merge)
		}
	}
	if kind := got[1].Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/cloud-config") {
		t.Errorf("recipe is %s", kind)
	}
	if enc := got[2].Header.Get("Content-Transfer-Encoding"); enc != "base64" {
		t.Errorf("tenant's data is encoded %q", enc)
	}
	// The tiny guest reads keys line by line, whatever surrounds them.
	if !bytes.Contains(build(t, s)["user-data"], []byte("ssh_authorized_keys:\n      - \"ssh-ed25519")) {
		t.Error("keys are not plain lines")
	}
}

func TestUserDataOfSeveralParts(t *testing.T) {
	t.Parallel()
	s := sample()
	s.UserData = []byte("Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n\n--x\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--x--\n")
	got := parts(t, build(t, s)["user-data"])
	if len(got) != 2 || !strings.HasPrefix(got[1].Header.Get("Content-Type"), "multipart/mixed") {
		t.Errorf("%d parts; the tenant's is %v", len(got), got[len(got)-1].Header)
	}
}

func TestUserDataCompressed(t *testing.T) {
	t.Parallel()
	squeeze := func(data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	s := sample()
	s.UserData = squeeze([]byte("#cloud-config\npackages: [vim]\n"))
	if got := parts(t, build(t, s)["user-data"]); len(got) != 2 {
		t.Errorf("%d parts, want 2", len(got))
	}
	for name, data := range map[string][]byte{
		"bomb": squeeze(make([]byte, 64<<20)), "broken": {0x1f, 0x8b, 1, 2}, "too long": make([]byte, seed.MaxUserData+1),
	} {
		s.UserData = data
		if _, err := seed.Build(s); !errors.Is(err, seed.ErrUserData) {
			t.Errorf("%s: %v, want ErrUserData", name, err)
		}
	}
}

// User data is the tenant's own: what it does to a YAML reader it may do to the
// one in his guest. Here it is carried, whole and in bounds, and leaves the
// part that is ours as it was.
func TestHostileUserData(t *testing.T) {
	t.Parallel()
	plain := build(t, sample())
	laughs := "#cloud-config\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	for name, data := range map[string]string{
		"aliases":       laughs,
		"itself":        "#cloud-config\na: &a [*a]\n",
		"depth":         "#cloud-config\n" + strings.Repeat("[", 100_000),
		"no login":      "#cloud-config\nusers: []\nssh_pwauth: true\ndisable_root: false\nbootcmd: []\n",
		"two documents": "#cloud-config\n--- \n...\n---\nusers: []\n",
		"our boundary":  "MIME-Version: 1.0\n\n--hippius-00000000000000000000000000000000--\n",
		"many parts":    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n\n", 20_000),
		"header lines":  "\r\n\r\nMIME-Version: 1.0\r\nContent-Type: text/x-shellscript\r\n",
		"open headers":  "MIME-Version: 1.0",
		"a word of it":  "#cloud-config\n# mime-version: 1.0\n",
		"NUL and worse": "\x00\xff\xfe\x1b]0;x\x07\u202e",
		"an include":    "#include\nfile:///etc/shadow\nhttp://169.254.169.254/\n",
	} {
		s := sample()
		s.UserData = []byte(data)
		files := build(t, s)
		for file, want := range plain {
			if file != "user-data" && !bytes.Equal(files[file], want) {
				t.Errorf("%s: %s became %q", name, file, files[file])
			}
		}
		if got := len(files["user-data"]); got > 2*len(data)+2*len(plain["user-data"])+2000 {
			t.Errorf("%s: %d bytes became %d", name, len(data), got)
		}
		got := parts(t, files["user-data"])
		if len(got) != 2 {
			t.Errorf("%s: %d parts, want ours and the tenant's", name, len(got))
		}
		theirs, err := io.ReadAll(got[1].Body)
		if err != nil {
			t.Fatal(err)
		}
		if name == "our boundary" || name == "many parts" {
			if !bytes.Contains(files["user-data"], []byte(data)) {
				t.Errorf("%s: is not carried whole", name)
			}
		} else if raw, err := base64.StdEncoding.DecodeString(string(theirs)); err != nil || string(raw) != data {
			t.Errorf("%s: became %.200q, %v", name, raw, err)
		}
		first, err := io.ReadAll(got[0].Body)
		if err != nil || !bytes.Equal(bytes.TrimSpace(first), bytes.TrimSpace(plain["user-data"])) || got[0].Header.Get("Merge-Type") != "" {
			t.Errorf("%s: our part became %q, %v", name, first, err)
		}
	}
	for name, spoil := range map[string]func(*seed.Seed){
		"name": func(s *seed.Seed) { s.Name = "a\n- b: &x" },
		"key":  func(s *seed.Seed) { s.AuthorizedKeys = []string{`ssh-ed25519 AAAA "}], users: [*x] # ` + "\x1b"} },
		"mac":  func(s *seed.Seed) { s.Network.MAC = "52-54-00-11-22-33" },
	} {
		s := sample()
		spoil(&s)
		var c struct {
			Users []struct {
				Name string
				Keys []string `yaml:"ssh_authorized_keys"`
			}
		}
		files := build(t, s)
		if err := yaml.Unmarshal(files["user-data"], &c); err != nil || len(c.Users) != 1 || c.Users[0].Name != "hippius" || !slices.Equal(c.Users[0].Keys, s.AuthorizedKeys) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		var meta map[string]string
		if err := yaml.Unmarshal(files["meta-data"], &meta); err != nil || len(meta) != 2 || strings.ContainsAny(meta["local-hostname"], "\n :&") {
			t.Errorf("%s: %v, %v", name, meta, err)
		}
	}
}

func TestSeedRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*seed.Seed){
		"no id":           func(s *seed.Seed) { s.VMID = "" },
		"a path as id":    func(s *seed.Seed) { s.VMID = "../../../../../../tmp/00112233445" },
		"a line as id":    func(s *seed.Seed) { s.VMID = vm.ID(testVM[1:] + "\n") },
		"no key":          func(s *seed.Seed) { s.AuthorizedKeys = nil },
		"two keys in one": func(s *seed.Seed) { s.AuthorizedKeys = []string{"a\nb"} },
		"foreign gateway": func(s *seed.Seed) { s.Network.Gateway = netip.MustParseAddr("10.9.9.9") },
		"no address":      func(s *seed.Seed) { s.Network.Address = netip.Prefix{} },
		"bad MAC":         func(s *seed.Seed) { s.Network.MAC = "x" },
	} {
		s := sample()
		spoil(&s)
		if _, err := seed.Build(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHostname(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"web-1": "web-1", "Web_1": "web-1", "--": "vm", "": "vm", "é": "vm", "a.b": "a-b",
		strings.Repeat("x", 70): strings.Repeat("x", 63), "-a-": "a",
	} {
		if got := seed.Hostname(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestISOAsXorrisoSeesIt(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("xorriso")
	if err != nil {
		t.Skip("xorriso is not installed; TestSeed reads the image with a library")
	}
	path := filepath.Join(t.TempDir(), "seed.iso")
	image, err := seed.Build(sample())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-indev", path, "-pvd_info", "-find", "/", "-exec", "lsdl").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"CIDATA", "-r--r--r--", "'/user-data'", "'/meta-data'", "'/network-config'", "'/hippius.json'"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("xorriso does not show %s:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "WARNING") || strings.Contains(string(out), "FAILURE") {
		t.Errorf("xorriso complains:\n%s", out)
	}
}

func TestWriteISORefuses(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]seed.File{
		"alike": {{Name: "user-data"}, {Name: "user_data"}}, "slash": {{Name: "a/b"}}, "empty": {{}},
		"long": {{Name: strings.Repeat("n", 32)}}, "many": make([]seed.File, 13),
	} {
		if err := seed.WriteISO(io.Discard, "X", files); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := seed.WriteISO(io.Discard, "lower", nil); err == nil {
		t.Error("a label in lower case accepted")
	}
}

// Whatever a tenant sends, the base stays the first part and whole.
func FuzzUserData(f *testing.F) {
	f.Add([]byte("#cloud-config\nusers: []\n"), "runcmd: [x]")
	f.Add([]byte("MIME-Version: 1.0\n\n--hippius-"), "")
	f.Add([]byte{0x1f, 0x8b, 8, 0}, "#cloud-config\n")
	f.Add([]byte("MIME-Version:"), "0")
	f.Add([]byte("#cloud-config\n# mime-version: 1.0\n"), "")
	base, err := seed.Build(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, own []byte, recipe string) {
		s := sample()
		s.UserData = own
		if recipe != "" {
			s.Apps = []seed.App{{Name: "a", Recipe: recipe}}
		}
		image, err := seed.Build(s)
		if err != nil {
			if !errors.Is(err, seed.ErrUserData) {
				t.Fatal(err)
			}
			return
		}
		_, plain := read(t, base)
		_, files := read(t, image)
		if bytes.Equal(files["user-data"], plain["user-data"]) {
			return
		}
		got := parts(t, files["user-data"])
		first, err := io.ReadAll(got[0].Body)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.TrimSpace(first), bytes.TrimSpace(plain["user-data"])) {
			t.Errorf("the base became %q", first)
		}
	})
}
