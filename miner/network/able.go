package network

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Able tells whether the kernel takes the kinds of rules that VMs are kept apart with. It makes them in tables of
// its own and removes those in the same transaction, so that no packet ever meets one. It needs CAP_NET_ADMIN.
func Able() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	const name = "hippius_try"
	inet := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: name})
	nat := conn.AddChain(&nftables.Chain{
		Name: "nat_try", Table: inet, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	conn.AddRule(&nftables.Rule{Table: inet, Chain: nat, Exprs: []expr.Any{&expr.Masq{}}})
	forward := conn.AddChain(&nftables.Chain{
		Name: "forward_try", Table: inet, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: inet, Chain: forward, Exprs: []expr.Any{&expr.Ct{Register: unix.NFT_REG_1, Key: expr.CtKeySTATE}}})
	netdev := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: name})
	conn.AddChain(&nftables.Chain{
		Name: "ingress_try", Table: netdev, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress,
		Priority: nftables.ChainPriorityFilter, Device: "lo",
	})
	conn.DelTable(netdev)
	conn.DelTable(inet)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}
