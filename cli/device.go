package cli

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/mesh/ca"
	"github.com/hippius/compute/mesh/cert"
	"github.com/hippius/compute/mesh/device"
	"github.com/hippius/compute/mesh/nebula"
)

const (
	deviceCertLife  = 90 * 24 * time.Hour
	deviceRenewAt   = 30 * 24 * time.Hour
	deviceIdle      = 10 * time.Minute
	deviceNameBytes = 40
)

// deviceIdentity is this device's own place in the account's mesh.
type deviceIdentity struct {
	ChainID string     `json:"chain_id"`
	Account string     `json:"account"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	CA      string     `json:"ca"`
	Cert    string     `json:"cert"`
	// Key is why the file has mode 0600.
	Key      string    `json:"key"`
	NotAfter time.Time `json:"not_after"`
}

// ensureDevice sees to this device having an identity. At first use, and when
// the certificate nears its end, it needs the wallet to make one.
func (c *command) ensureDevice(ctx context.Context, s *session) error {
	d, err := c.readDevice()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && d.ChainID == s.chain.ChainID() && d.Account == s.address && d.NotAfter.Sub(c.env.Now()) > deviceRenewAt {
		return nil
	}
	sign, err := c.openSigning(ctx)
	if err != nil {
		return fmt.Errorf("this device needs an identity in your mesh: %w", err)
	}
	defer sign.close()
	return c.makeDevice(ctx, sign)
}

func (c *command) makeDevice(ctx context.Context, s *signing) error {
	now := c.env.Now()
	tenant, authority, err := s.ensureTenant(ctx, now)
	if err != nil {
		return err
	}
	dev, err := c.registerDevice(ctx, s, tenant)
	if err != nil {
		return err
	}
	public, private, err := cert.NewHostKey()
	if err != nil {
		return err
	}
	cert, err := authority.Issue(ca.Host{
		Name: dev.Name, Groups: []string{groupDevice}, Addr: dev.Address, PublicKey: public, Validity: deviceCertLife,
	}, now)
	if err != nil {
		return fmt.Errorf("device certificate: %w", err)
	}
	d := deviceIdentity{
		ChainID: s.chain.ChainID(), Account: s.address, Name: dev.Name, Address: dev.Address,
		CA: string(authority.Certificate().PEM()), Cert: string(cert.PEM()),
		Key:      string(pem.EncodeToMemory(&pem.Block{Type: meshKeyType, Bytes: private})),
		NotAfter: cert.NotAfter(),
	}
	return c.writeDevice(d)
}

// registerDevice takes this device's address on chain, the one it has if it has one.
func (c *command) registerDevice(ctx context.Context, s *signing, tenant mesh.Tenant) (mesh.Device, error) {
	name := c.deviceName()
	for _, d := range tenant.Devices {
		if d.Name == name {
			return d, nil
		}
	}
	d, err := s.sender.AddDevice(ctx, name)
	if err != nil {
		return mesh.Device{}, fmt.Errorf("register this device as %q: %w", name, err)
	}
	return d, nil
}

// deviceName is kept from the first time on: another home folder is another device.
func (c *command) deviceName() string {
	if old, err := c.readDevice(); err == nil && old.Name != "" {
		return old.Name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "device"
	}
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
		if len(name) == deviceNameBytes {
			break
		}
	}
	return "device-" + string(name) + "-" + randomReference()[:6]
}

// meshServe is the one process that holds this device's address and certificate.
func (c *command) meshServe() *cobra.Command {
	return &cobra.Command{
		Use: "mesh-serve", Hidden: true, Short: "Hold this device's place in the mesh for its ssh sessions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serveDevice(cmd.Context()) },
	}
}

func (c *command) serveDevice(ctx context.Context) error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.close()
	d, err := c.readDevice()
	if err != nil {
		return err
	}
	look := func(ctx context.Context) (nebula.Config, error) { return c.meshConfig(ctx, s, d) }
	config, err := look(ctx)
	if err != nil {
		return err
	}
	return device.Serve(ctx, device.Options{
		SocketPath: c.path(deviceSock), LockPath: c.path(deviceLock), IdleTimeout: deviceIdle,
		Open: func(ctx context.Context) (device.Session, error) {
			node, err := nebula.Start(ctx, config, c.env.Log)
			if err != nil {
				return nil, err
			}
			return newMember(ctx, node, config, look, c.env.Log), nil
		},
	}, c.env.Log)
}
