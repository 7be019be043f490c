package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/hippius/compute/tenant"
)

// A device's identity is used until its last month; only then is the wallet needed.
func TestDeviceIdentityIsRenewed(t *testing.T) {
	d := newDesk(t)
	w := d.loggedIn(t)
	now := time.Now()
	d.env.Now = func() time.Time { return now }
	good := tenant.Device{ChainID: "nowhere-1", Account: w.Address(), Name: "device-a", NotAfter: now.Add(tenant.DeviceLife)}
	with := func(change func(*tenant.Device)) tenant.Device {
		c := good
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		state  tenant.Device
		renews bool
	}{
		"new":                 {good, false},
		"31 days left":        {with(func(d *tenant.Device) { d.NotAfter = now.Add(31 * 24 * time.Hour) }), false},
		"30 days left":        {with(func(d *tenant.Device) { d.NotAfter = now.Add(30 * 24 * time.Hour) }), true},
		"ended":               {with(func(d *tenant.Device) { d.NotAfter = now.Add(-time.Hour) }), true},
		"another chain's":     {with(func(d *tenant.Device) { d.ChainID = "other-1" }), true},
		"another account's":   {with(func(d *tenant.Device) { d.Account = "hip1other" }), true},
		"of an empty file {}": {tenant.Device{}, true},
	} {
		if err := d.writeDevice(c.state); err != nil {
			t.Fatal(err)
		}
		s, err := d.open()
		if err != nil {
			t.Fatal(err)
		}
		// Making one needs the chain, which is not there.
		err = d.ensureDevice(t.Context(), s)
		s.close()
		if renews := err != nil; renews != c.renews {
			t.Errorf("%s: renewed is %v, want %v (%v)", name, renews, c.renews, err)
		}
	}
	if err := d.writeFile(deviceFile, []byte("{")); err != nil {
		t.Fatal(err)
	}
	s, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := d.ensureDevice(t.Context(), s); err == nil || !strings.Contains(hint(err), "remove the file") {
		t.Errorf("damaged: %v, hint %q", err, hint(err))
	}
}

// A device keeps its name, and so its address on chain, when it is renewed.
func TestDeviceNameIsKept(t *testing.T) {
	d := newDesk(t)
	a, b := d.deviceName(), d.deviceName()
	if a == b || !strings.HasPrefix(a, "device-") || len(a) > 63 {
		t.Errorf("two new names %q and %q", a, b)
	}
	if err := d.writeDevice(tenant.Device{Name: a}); err != nil {
		t.Fatal(err)
	}
	if got := d.deviceName(); got != a {
		t.Errorf("got %q, want %q", got, a)
	}
}
