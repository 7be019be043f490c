package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hippius/compute/core/mesh"
)

func TestMessagesPass(t *testing.T) {
	sent := []ToHost{
		{Hello: &Hello{AgentVersion: "1", VMID: "v", Seq: 2, MeshUp: true}},
		{Proof: &Proof{Height: 7, Signature: []byte{1, 2, 3}}},
		{Metrics: &Metrics{CPUMilli: 5, RxBytes: 1 << 60}},
	}
	var b bytes.Buffer
	for _, m := range sent {
		if err := WriteMessage(&b, m); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(&b)
	for _, want := range sent {
		var got ToHost
		if err := r.Next(&got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	if err := r.Next(new(ToHost)); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
	if r.Skipped() != 0 {
		t.Fatalf("skipped %d", r.Skipped())
	}
}

func TestReaderStepsOverGarbage(t *testing.T) {
	in := `tail of a cut message"}` + "\n" +
		`{"proof":{"height":9,"signature":"no base64!"}}` + "\n" + // sets the height before it fails
		strings.Repeat("x", 3*MaxLine) + "\n" +
		"\n" +
		`{"hello":{"vm_id":"v"}}` + "\n" +
		`{"metrics":{"cpu_milli":1}` // cut by the end
	r := NewReader(strings.NewReader(in))
	var m ToHost
	if err := r.Next(&m); err != nil {
		t.Fatal(err)
	}
	if m.Hello == nil || m.Hello.VMID != "v" {
		t.Fatalf("got %+v", m)
	}
	if m.Proof != nil {
		t.Fatalf("something of a message that failed was left: %+v", m.Proof)
	}
	if r.Skipped() != 4 {
		t.Fatalf("skipped %d, want 4", r.Skipped())
	}
	if err := r.Next(&m); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestReaderClearsWhatWasBefore(t *testing.T) {
	r := NewReader(strings.NewReader(`{"hello":{}}` + "\n" + `{"proof":{}}` + "\n"))
	var m ToHost
	for range 2 {
		if err := r.Next(&m); err != nil {
			t.Fatal(err)
		}
	}
	if m.Hello != nil || m.Proof == nil {
		t.Fatalf("got %+v", m)
	}
	if err := r.Next(m); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("a value that is no pointer: %v", err)
	}
}

func TestWriteMessageBounds(t *testing.T) {
	var b bytes.Buffer
	if err := WriteMessage(&b, ToHost{Hello: &Hello{Error: strings.Repeat("x", MaxLine)}}); err == nil || b.Len() != 0 {
		t.Fatalf("a message over the bound: %v, %d bytes written", err, b.Len())
	}
	// The longest that may be written is read.
	m := ToHost{Hello: &Hello{}}
	base, err := json.Marshal(ToHost{Hello: &Hello{Error: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	m.Hello.Error = strings.Repeat("x", MaxLine-len(base))
	if err := WriteMessage(&b, m); err != nil {
		t.Fatal(err)
	}
	if b.Len() != MaxLine {
		t.Fatalf("wrote %d bytes, want %d", b.Len(), MaxLine)
	}
	var got ToHost
	if err := NewReader(&b).Next(&got); err != nil || got.Hello.Error != m.Hello.Error {
		t.Fatalf("the longest message was not read: %v", err)
	}
}

// TestWholeMeshPasses tells a guest of as many revoked certificates as a tenant may have, and of as many lighthouses as there are for it.
func TestWholeMeshPasses(t *testing.T) {
	m := ToGuest{Mesh: &Mesh{}}
	for i := range mesh.KeepTo {
		m.Mesh.Lighthouses = append(m.Mesh.Lighthouses, Lighthouse{
			Address: "100.127.255.254", Underlay: slices.Repeat([]string{"255.255.255.255:65535"}, 4), CA: strings.Repeat("c", 2048), Relay: i > 0,
		})
	}
	for i := range mesh.MaxRevocations {
		m.Mesh.Blocklist = append(m.Mesh.Blocklist, fmt.Sprintf("%064x", i))
	}
	var b bytes.Buffer
	if err := WriteMessage(&b, m); err != nil {
		t.Fatal(err)
	}
	var got ToGuest
	r := NewGuestReader(&b)
	if err := r.Next(&got); err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("the mesh was not read: %v, %d skipped", err, r.Skipped())
	}
	c := Config{ProofKey: make([]byte, 32), VMID: "v", ChainID: "c", Seq: 1, Mesh: *m.Mesh}
	if _, err := EncodeConfig(c); err != nil {
		t.Fatal(err)
	}
}

// What is told to a guest that reads MaxLine fits with the largest of everything, and is as much as fits.
func TestMeshFitsAnEarlierGuest(t *testing.T) {
	m := Mesh{}
	for range mesh.KeepTo {
		m.Lighthouses = append(m.Lighthouses, Lighthouse{
			Address: "100.127.255.254", Underlay: slices.Repeat([]string{"255.255.255.255:65535"}, 4), CA: strings.Repeat("c", 2048), Relay: true,
		})
	}
	for i := range mesh.MaxRevocations {
		m.Blocklist = append(m.Blocklist, fmt.Sprintf("%064x", i))
	}
	for _, speaks := range []*Versions{nil, {Oldest: 1, Newest: 1}} {
		short, err := m.Fit(speaks)
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(ToGuest{Mesh: &short, Protocol: &Versions{Oldest: 1, Newest: 1 << 30}, UnixMilli: 1 << 60})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(line) + 1; n > MaxLine || n < MaxLine-spare-100 {
			t.Errorf("a line of %d bytes; want as much as fits into %d", n, MaxLine)
		}
		if n := len(short.Blocklist); !slices.Equal(short.Blocklist, m.Blocklist[len(m.Blocklist)-n:]) || len(short.Lighthouses) != mesh.KeepTo {
			t.Errorf("told of %d revocations, not the newest, or of %d lighthouses", n, len(short.Lighthouses))
		}
	}
	few := Mesh{Lighthouses: m.Lighthouses, Blocklist: m.Blocklist[:5]}
	if same, err := few.Fit(nil); err != nil || !reflect.DeepEqual(same, few) {
		t.Errorf("a short mesh is cut: %v", err)
	}
	if all, err := m.Fit(&Versions{Oldest: 2, Newest: 3}); err != nil || !reflect.DeepEqual(all, m) {
		t.Errorf("a guest of today is not told all: %v", err)
	}
	if _, err := (Mesh{Lighthouses: slices.Repeat(m.Lighthouses, 9)}).Fit(nil); !errors.Is(err, ErrTooLong) {
		t.Errorf("lighthouses that do not fit: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"hello\":{\"vm_id\":\"v\"}}\n{\"proof\":{\"height\":1}}\nx\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := uint64(bytes.Count(data, []byte("\n")))
		r := NewReader(bytes.NewReader(data))
		var read uint64
		for {
			var m ToHost
			err := r.Next(&m)
			if err == nil {
				read++
				continue
			}
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		if read+r.Skipped() != lines {
			// An over-long last line without a newline also counts as skipped.
			if read+r.Skipped() != lines+1 || len(data) < MaxLine {
				t.Fatalf("%d read and %d skipped of %d lines", read, r.Skipped(), lines)
			}
		}
	})
}
