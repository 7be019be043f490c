package nebula

import (
	"log/slog"
	"time"

	"github.com/hippius/compute/mesh/cert"
)

// FreePort is for tests that must know a port beforehand.
var FreePort = freePort

// StartTrusting starts a node that trusts the authority as if nobody had looked
// at it, with each of its inbound rules edited.
func StartTrusting(c Config, authority *cert.Certificate, edit func(rule map[string]any), log *slog.Logger) (*Node, error) {
	unsuspecting := c
	unsuspecting.Lighthouses = nil
	t, err := load(unsuspecting, time.Now(), nil)
	if err != nil {
		return nil, err
	}
	t.trust(authority, time.Now())
	settings := c.settings(t, set(c.Blocklist))
	rules, _ := settings["firewall"].(map[string]any)["inbound"].([]any)
	for _, r := range rules {
		if rule, ok := r.(map[string]any); ok {
			edit(rule)
		}
	}
	return startWith(settings, c, c, t, log)
}
