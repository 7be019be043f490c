package libvirt

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/vmtest"
)

// TestHostileDefinitions puts what means something to XML, a shell or a path into
// every text of a VM: it is refused, or stays the text it is.
func TestHostileDefinitions(t *testing.T) {
	t.Parallel()
	d := &Driver{cfg: Config{Tag: "t", StateDir: "/state", RunDir: "/run/x"}}
	good := hypervisor.Definition{
		ID: vmtest.NewID(), InstanceSeq: 1, Name: "web-1", VCPUs: 1, MemoryMiB: 64, DiskBytes: 1 << 20,
		BaseImage: "/images/a.qcow2", BaseFormat: hypervisor.FormatQcow2, Firmware: hypervisor.FirmwareBIOS,
		Seed: "/seeds/a.iso", AgentISO: "/iso/a.iso", Tap: "hip1", MAC: "52:54:00:00:00:01",
	}
	text, err := d.domainXML(good)
	if err != nil {
		t.Fatal(err)
	}
	plain := shape(t, text)
	hostile := []string{
		`"/><disk type='file'><source file='/etc/shadow'/></disk><x y="`, "]]><qemu:commandline/>", "<!--", "&lt;", "&e;", "'", "$(reboot)", "`id`", "; rm -rf /",
		"../../etc/shadow", "a/../../b", "a\x00b", "a\nb", "a\rb", "\x1b[2J", "\u202egpj", "\xff\xfe", "\ufffe", "%d", "tap%d", "a,readonly=off", "a b", strings.Repeat("a", 5000),
	}
	taken := 0
	for i := range reflect.TypeFor[hypervisor.Definition]().NumField() {
		field := reflect.TypeFor[hypervisor.Definition]().Field(i)
		if field.Type.Kind() != reflect.String {
			continue
		}
		for _, s := range hostile {
			m := good
			v := reflect.ValueOf(&m).Elem().Field(i)
			if strings.HasPrefix(v.String(), "/") {
				s = "/" + s
			}
			v.SetString(s)
			if err := m.Validate(); err != nil {
				if !errors.Is(err, hypervisor.ErrInvalid) {
					t.Errorf("%s %.40q: %v", field.Name, s, err)
				}
				continue
			}
			taken++
			text, err := d.domainXML(m)
			if err != nil {
				t.Errorf("%s %.40q: %v", field.Name, s, err)
				continue
			}
			if got := shape(t, text); !slices.Equal(got, plain) {
				t.Errorf("%s %.40q becomes markup: %v", field.Name, s, got)
			}
			var dom libvirtxml.Domain
			if err := dom.Unmarshal(text); err != nil {
				t.Errorf("%s %.40q: %v", field.Name, s, err)
				continue
			}
			l, ok := readLabel(&dom, "t")
			disks := dom.Devices.Disks
			if !ok || l.Name != m.Name || len(disks) != 3 || disks[0].BackingStore.Source.File.File != m.BaseImage ||
				disks[1].Source.File.File != m.Seed || disks[2].Source.File.File != m.AgentISO {
				t.Errorf("%s %.40q comes back as %+v, %+v", field.Name, s, l, disks)
			}
		}
	}
	if taken == 0 {
		t.Error("all were refused: nothing was seen of the markup")
	}
}

// shape is a document's elements and attributes without what they say.
func shape(t *testing.T, text string) (out []string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			line := token.Name.Local
			for _, a := range token.Attr {
				line += " " + a.Name.Local
			}
			out = append(out, line)
		case xml.EndElement:
			out = append(out, "/"+token.Name.Local)
		case xml.Comment, xml.ProcInst, xml.Directive:
			out = append(out, "?")
		}
	}
}
