package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/node"
)

// Clocks may differ by this much; a newest block may be this old.
const (
	clockBehind = 5 * time.Second
	clockAhead  = time.Minute
	// fewFees are how many transactions' fees an account should hold, usualGas and usualBytes those of one.
	fewFees    = 100
	usualGas   = 300_000
	usualBytes = 1024
)

func wallet(_ context.Context, e *exam) Finding {
	if e.set.Wallet == "" {
		return bad("set wallet to the operator's key file; to make one: hippius login --network PROFILE, then hippius login --backup FILE", "the settings name no wallet")
	}
	address, err := e.host.Wallet(e.set.Wallet)
	if err != nil {
		return bad(fmt.Sprintf("chmod 0600 %s if that is what is wrong; a new one: hippius login --network PROFILE, then hippius login --backup %s",
			e.set.Wallet, e.set.Wallet), "%v", err)
	}
	e.wallet = address
	return ok("account %s", address)
}

// noChain is what checks say that need it.
func noChain(e *exam) Finding {
	return bad("fix the network first", "not looked at: %v", e.chainErr)
}

func network(ctx context.Context, e *exam) Finding {
	if e.set.Network == "" {
		return bad("set network to the file of the network's profile, which every network publishes", "the settings name no network")
	}
	if e.chain == nil {
		return bad("put the network's profile there, or set network to where it is", "%v", e.chainErr)
	}
	nodes := e.chain.Nodes(ctx)
	var down []string
	for _, n := range nodes {
		if n.Err != nil {
			down = append(down, fmt.Sprintf("%s (%v)", n.Address, n.Err))
		}
	}
	switch {
	case len(down) == len(nodes):
		e.chainErr = errors.New("no chain node answers")
		return bad("see that this host may connect out to them, and that the profile is the network's newest", "no chain node of the profile answers: %s", strings.Join(down, "; "))
	case len(down) > 0:
		return warn("remove those that are gone from the profile: nothing is destroyed here while one of them cannot be asked", "%d of %d chain nodes do not answer: %s",
			len(down), len(nodes), strings.Join(down, "; "))
	}
	return ok("%d chain nodes of %s answer", len(nodes), e.chain.ChainID())
}

func versions(ctx context.Context, e *exam) Finding {
	if e.chain == nil || e.chainErr != nil {
		return noChain(e)
	}
	err := e.chain.CheckVersion(ctx)
	switch {
	case errors.Is(err, client.ErrOtherVersion):
		return warn("upgrade the package hippius-miner", "%v", err)
	case err != nil:
		return warn("try again", "%v", err)
	}
	return ok("this program is of the chain's version")
}

func clock(ctx context.Context, e *exam) Finding {
	if e.chain == nil || e.chainErr != nil {
		return noChain(e)
	}
	head, err := e.chain.Head(ctx)
	if err != nil {
		return warn("try again", "%v", err)
	}
	const mend = "apt-get install systemd-timesyncd, or chrony; timedatectl set-ntp true"
	ahead := e.host.Now().Sub(time.Unix(head.Time, 0)).Round(time.Second)
	switch {
	case ahead < -clockBehind:
		return bad(mend, "this host's clock is %s behind the chain's newest block", -ahead)
	case ahead > clockAhead:
		return bad(mend+"; if the clock is right, the chain has stopped or the node is behind: ask its operator", "the chain's newest block is %s old by this host's clock", ahead)
	}
	return ok("in step with the chain (newest block %s ago)", max(ahead, 0))
}

func registration(ctx context.Context, e *exam) Finding {
	if e.chain == nil || e.chainErr != nil {
		return noChain(e)
	}
	if e.wallet == "" {
		return bad("fix the wallet first", "not looked at: the account is not known")
	}
	m, err := e.chain.Miner(ctx, e.wallet)
	if errors.Is(err, client.ErrNotFound) {
		return unregistered(ctx, e)
	}
	if err != nil {
		return warn("try again", "%v", err)
	}
	identity, err := e.host.Identity(e.set.Data)
	switch {
	case err != nil:
		return bad("chmod 0600 it, or bring it back from a backup; a new one is made and registered if it is not there", "the identity key: %v", err)
	case identity != nil && !slices.Equal(identity, m.Identity):
		return bad("bring "+e.set.Data+"/identity.pem back from the backup, or start the miner here only: it registers its own", "the chain knows this miner by another key than this host's")
	case m.Status == node.Draining:
		return warn("hippius-miner undrain, when it is to take new VMs again", "registered as %q, and draining: it takes no new VMs and keeps the %d it has", m.Name, m.Usage.VMs)
	case m.Status == node.Unbonding:
		return warn("start the miner again after "+time.Unix(m.UnbondingUntil, 0).UTC().Format(time.RFC1123)+", when the bond was returned; it then registers again",
			"registered as %q, and unbonding: it takes no new VMs", m.Name)
	case m.Status != node.Active:
		return warn("start the miner: it registers again", "registered as %q, and %s: it takes no VMs", m.Name, m.Status)
	case m.BondUhip < e.set.BondUhip:
		return lacking(ctx, e, e.set.BondUhip-m.BondUhip)
	}
	params, err := e.chain.Params(ctx)
	if err != nil {
		return warn("try again", "%v", err)
	}
	if covered := m.Capacity.Covered(m.BondUhip, params.Bonds); covered != m.Capacity {
		return warn(fmt.Sprintf("set bond_uhip to %d for all of it, or offer less", m.Capacity.Bond(params.Bonds)),
			"the bond of %d uhip covers %d of %d cores, %d of %d MiB of memory and %d of %d GiB of disk; the rest gets no VMs",
			m.BondUhip, covered.Cores, m.Capacity.Cores, covered.MemoryMiB, m.Capacity.MemoryMiB, covered.DiskGiB, m.Capacity.DiskGiB)
	}
	return ok("registered as %q with a bond of %d uhip", m.Name, m.BondUhip)
}

func unregistered(ctx context.Context, e *exam) Finding {
	if f := lacking(ctx, e, e.set.BondUhip); f.Level == Bad {
		return f
	}
	return warn("start the miner: it registers itself", "not registered yet; the account has the bond of %d uhip", e.set.BondUhip)
}

// lacking says whether the account can pay the rest of its bond, and fees.
func lacking(ctx context.Context, e *exam, need uint64) Finding {
	has, err := e.chain.Uhip(ctx, e.wallet)
	if err != nil {
		return warn("try again", "%v", err)
	}
	if has < need {
		return bad(fmt.Sprintf("send %d uhip to %s, or lower bond_uhip if the chain's least bond allows", need-has, e.wallet),
			"the bond lacks %d uhip and the account has %d", need, has)
	}
	params, err := e.chain.Params(ctx)
	if err != nil {
		return warn("try again", "%v", err)
	}
	b, err := e.chain.Balance(ctx, e.wallet)
	if err != nil {
		return warn("try again", "%v", err)
	}
	fee, err := params.Fees.Of(usualGas, usualBytes)
	if err != nil {
		return warn("try again", "%v", err)
	}
	if b.Ucredit < fewFees*fee {
		return bad(fmt.Sprintf("buy credits with the account, at least %d ucredit", fewFees*fee), "the account has %d ucredit; a transaction costs about %d", b.Ucredit, fee)
	}
	return warn("start the miner: it bonds the rest", "the bond lacks %d uhip, which the account has", need)
}

func list(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}
