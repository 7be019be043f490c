package guest

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func sample() Config {
	return Config{
		Version: configVersion, ChainID: "c", VMID: "v", Seq: 3, Hostname: "web-1", ProofKey: bytes.Repeat([]byte{5}, 32),
		MeshCA: "ca", MeshCert: "cert", MeshKey: "key", MTU: 1300,
		Mesh: Mesh{Lighthouses: []Lighthouse{{Address: "100.127.0.1", Underlay: []string{"1.2.3.4:4242"}, CA: "pem"}}, Blocklist: []string{"ab"}},
	}
}

func TestConfig(t *testing.T) {
	data, err := EncodeConfig(sample())
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Fatalf("got %+v", got)
	}
}

func TestConfigBounds(t *testing.T) {
	good, err := EncodeConfig(sample())
	if err != nil {
		t.Fatal(err)
	}
	big := sample()
	big.MeshCA = strings.Repeat("x", MaxConfig)
	if _, err := EncodeConfig(big); err == nil {
		t.Fatal("encoded a config over the bound")
	}
	for name, data := range map[string]string{
		"empty":       "",
		"too long":    strings.Repeat(" ", MaxConfig+1),
		"more data":   string(good) + "{}",
		"version":     strings.Replace(string(good), `"version":1`, `"version":2`, 1),
		"no chain":    strings.Replace(string(good), `"chain_id":"c"`, `"chain_id":""`, 1),
		"no vm":       strings.Replace(string(good), `"vm_id":"v"`, `"vm_id":""`, 1),
		"no instance": strings.Replace(string(good), `"seq":3`, `"seq":0`, 1),
		"short key":   strings.Replace(string(good), `"proof_key":"`, `"proof_key":"","x":"`, 1),
	} {
		if _, err := DecodeConfig([]byte(data)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecodeConfig(f *testing.F) {
	good, err := EncodeConfig(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeConfig(data)
		if err != nil {
			return
		}
		if len(c.ProofKey) != 32 || c.Seq == 0 {
			t.Fatalf("accepted %+v", c)
		}
	})
}
