package gateway

import (
	"reflect"
	"testing"

	"github.com/hippius/compute/internal/config"
)

// The commented sample says what the defaults are, and is valid as it stands.
func TestSample(t *testing.T) {
	t.Parallel()
	got, err := config.Load("sample.yaml", Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Network, want.Wallet, want.Public = got.Network, got.Wallet, got.Public
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the sample says %+v, the defaults are %+v", got, want)
	}
}
