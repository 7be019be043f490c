package tenant

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/hippius/compute/core/mesh"
)

const (
	// DeviceLife of a device's certificate.
	DeviceLife = 90 * 24 * time.Hour
	// deviceRenewAt is how long before its end a device's certificate is made anew.
	deviceRenewAt = 30 * 24 * time.Hour
	// maxDeviceHost is how much of a host's name is in a device's, in bytes.
	maxDeviceHost = 40
)

// Device is one device's own place in the account's mesh.
type Device struct {
	ChainID string     `json:"chain_id"`
	Account string     `json:"account"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// CA, Cert and Key are PEMs. Key is secret.
	CA       string    `json:"ca"`
	Cert     string    `json:"cert"`
	Key      string    `json:"key"`
	NotAfter time.Time `json:"not_after"`
}

// Usable reports whether the identity is the account's on the chain and lasts for a while.
func (d Device) Usable(chainID, account string, now time.Time) bool {
	return d.ChainID == chainID && d.Account == account && d.NotAfter.Sub(now) > deviceRenewAt
}

// Device makes the identity of the device of a name, at the address it has on chain, or at a new one.
func (c *Client) Device(ctx context.Context, name string) (Device, error) {
	t, authority, err := c.Join(ctx)
	if err != nil {
		return Device{}, err
	}
	on, err := c.addDevice(ctx, t, name)
	if err != nil {
		return Device{}, err
	}
	id, err := authority.Issue(Member{Name: on.Name, Group: groupDevice, Addr: on.Address, Validity: DeviceLife}, c.now())
	if err != nil {
		return Device{}, fmt.Errorf("device certificate: %w", err)
	}
	return Device{
		ChainID: c.set.ChainID, Account: c.account, Name: on.Name, Address: on.Address,
		CA: authority.PEM(), Cert: id.Cert, Key: id.Key, NotAfter: id.NotAfter,
	}, nil
}

// addDevice takes a device's address on chain, the one it has if it has one.
func (c *Client) addDevice(ctx context.Context, t mesh.Tenant, name string) (mesh.Device, error) {
	for _, d := range t.Devices {
		if d.Name == name {
			return d, nil
		}
	}
	d, err := c.set.Sender.AddDevice(ctx, name)
	if err != nil {
		return mesh.Device{}, fmt.Errorf("register this device as %q: %w", name, err)
	}
	return d, nil
}

// DeviceName is a name for a device on a host of any name, told apart by suffix, some letters and digits.
func DeviceName(host, suffix string) string {
	name := []byte{}
	for _, b := range []byte(host) {
		switch {
		case b >= 'a' && b <= 'z' || b >= '0' && b <= '9':
			name = append(name, b)
		case b >= 'A' && b <= 'Z':
			name = append(name, b+'a'-'A')
		case b == '-' && len(name) > 0:
			name = append(name, b)
		}
		if len(name) == maxDeviceHost {
			break
		}
	}
	return "device-" + string(name) + "-" + suffix
}
