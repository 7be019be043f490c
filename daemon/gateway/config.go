// Package gateway assembles hippius-gateway: so far the mesh's lighthouse and
// relay, in step with the tenants on chain, and what operators look at.
package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config of a gateway. Paths are as the process sees them.
type Config struct {
	// Name under which the lighthouse stands on chain.
	Name string `yaml:"name"`
	// Network is the network's profile file.
	Network string `yaml:"network"`
	// Wallet is the operator's key file, mode 0600: it registers the lighthouse and is its mesh CA.
	Wallet string `yaml:"wallet"`
	// Listen is the UDP address of the lighthouse.
	Listen netip.AddrPort `yaml:"listen"`
	// Public are the UDP addresses at which others reach it, as published on chain.
	Public []netip.AddrPort `yaml:"public"`
	// Relay also carries traffic between members that cannot reach each other.
	Relay bool `yaml:"relay"`
	// Observe is the TCP address of /healthz, /readyz and /metrics; keep it private.
	Observe netip.AddrPort `yaml:"observe"`
	// FollowEvery is how often the chain is asked for changed tenants.
	FollowEvery time.Duration `yaml:"follow_every"`
	// RentDays of the lighthouse's rent are paid in advance from the operator's credits, 2 to 366.
	RentDays uint32 `yaml:"rent_days"`
	// RenewDays before its end the rent is paid anew, 1 to RentDays − 1.
	RenewDays uint32 `yaml:"renew_days"`

	// Version of the program, as its metrics say.
	Version string `yaml:"-"`
}

// Default settings; network, wallet and public must be given.
func Default() Config {
	return Config{
		Name:        "gateway",
		Listen:      netip.MustParseAddrPort("0.0.0.0:4242"),
		Relay:       true,
		Observe:     netip.MustParseAddrPort("127.0.0.1:9464"),
		FollowEvery: 500 * time.Millisecond,
		RentDays:    30,
		RenewDays:   10,
	}
}

// Validate says what is wrong, or nil.
func (c *Config) Validate() error {
	switch {
	case c.Network == "":
		return errors.New("network: give the path of the network's profile")
	case c.Wallet == "":
		return errors.New("wallet: give the path of the operator's key file")
	case !c.Listen.IsValid():
		return errors.New("listen: give ip:port")
	case len(c.Public) == 0 || len(c.Public) > 8:
		return errors.New("public: give 1 to 8 ip:port at which others reach the lighthouse")
	case !c.Observe.IsValid():
		return errors.New("observe: give ip:port")
	case c.FollowEvery < 50*time.Millisecond || c.FollowEvery > 2*time.Second:
		return fmt.Errorf("follow_every %s: accepted are 50ms to 2s", c.FollowEvery)
	case c.RentDays < 2 || c.RentDays > 366:
		return fmt.Errorf("rent_days %d: accepted are 2 to 366", c.RentDays)
	case c.RenewDays < 1 || c.RenewDays >= c.RentDays:
		return fmt.Errorf("renew_days %d: accepted are 1 to %d, less than rent_days", c.RenewDays, c.RentDays-1)
	}
	for i, p := range c.Public {
		if !p.IsValid() || p.Addr().IsUnspecified() || p.Port() == 0 {
			return fmt.Errorf("public[%d] %s: give an address others can reach, ip:port", i, p)
		}
	}
	return nil
}
