package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/client"
)

func trustCommand() *cobra.Command {
	var v voter
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Show a block to trust, for a new node that starts from a snapshot",
		Long: `Show a block to trust, as the section state_sync of hippiusd.yaml. A new node with these settings and two servers starts from
a snapshot of its peers' state instead of the first block, and checks it from that block on.

The block is what a node of the network's profile says, which proves its identity. Compare the hash with another
operator's if you did not get the profile from a source you trust.`,
		Args:    cobra.NoArgs,
		Example: "  hippiusd trust --network /etc/hippius/network.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return v.with(func(c *client.Client, _ *client.Sender) error {
				head, err := c.Head(cmd.Context())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), `state_sync:
  # The rpc interfaces of two nodes, host:port.
  servers: []
  trust_height: %d
  trust_hash: "%X"
`, head.Height, head.Hash)
				return err
			})
		},
	}
	v.flags(cmd, false)
	return cmd
}
