package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/mesh/device"
	"github.com/hippius/compute/mesh/nebula"
	"github.com/hippius/compute/tenant"
)

const deviceIdle = 10 * time.Minute

// ensureDevice sees to this device having an identity. At first use, and when
// the certificate nears its end, it needs the wallet to make one.
func (c *command) ensureDevice(ctx context.Context, s *session) error {
	d, err := c.readDevice()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && d.Usable(s.chain.ChainID(), s.address, c.env.Now()) {
		return nil
	}
	sign, err := c.openSigning(ctx)
	if err != nil {
		return fmt.Errorf("this device needs an identity in your mesh: %w", err)
	}
	defer sign.close()
	made, err := sign.tenant.Device(ctx, c.deviceName())
	if err != nil {
		return err
	}
	return c.writeDevice(made)
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
	return tenant.DeviceName(host, randomReference()[:6])
}

// meshServe is the one process that holds this device's address and certificate.
func (c *command) meshServe() *cobra.Command {
	return &cobra.Command{
		Use: "mesh-serve", Hidden: true, Short: "Run this device's mesh process for its ssh sessions", Args: cobra.NoArgs,
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
