// Package doctor looks at a miner's host and says what is missing for VMs to run on it and earn,
// and how to fix it. It changes nothing.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hippius/compute/daemon/miner"
)

// Level of a finding.
type Level string

// The levels: Bad must be fixed before the miner can work, Warn is worth knowing.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Bad  Level = "bad"
)

// Finding is the outcome of one check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Found says what is, Mend what to do; Mend is empty when nothing is to be done.
	Found string `json:"found"`
	Mend  string `json:"mend,omitempty"`
}

// checkTime bounds one check; the probe for KVM and an absent chain node take longest.
const checkTime = 20 * time.Second

// check is one question to the host.
type check struct {
	name string
	ask  func(ctx context.Context, e *exam) Finding
}

// exam is what the checks share.
type exam struct {
	set  miner.Config
	host Host
	// chain is nil when there is no profile to find it by; chainErr says why.
	chain    Chain
	chainErr error
	wallet   string // its address; empty when it cannot be read
	running  bool   // the miner runs on this host already
}

// Examine makes every check, in the order in which things are fixed. A settings file that cannot be read is a finding;
// the rest is then looked at by the defaults.
func Examine(ctx context.Context, path string, host Host) []Finding {
	e := &exam{host: host}
	var out []Finding
	set, err := host.Settings(path)
	out = append(out, settingsFinding(path, err))
	if e.set = set; err != nil {
		e.set = miner.Default()
	}
	e.running = host.Healthy(ctx, e.set.Observe)
	e.chain, e.chainErr = host.Chain(e.set)
	if e.chain != nil {
		defer e.chain.Close() //nolint:errcheck // only asked
	}
	for _, c := range checks() {
		out = append(out, c.make(ctx, e))
	}
	return out
}

func (c check) make(ctx context.Context, e *exam) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	f := c.ask(ctx, e)
	f.Check = c.name
	return f
}

func checks() []check {
	return []check{
		{"privileges", privileges},
		{"processor", processor},
		{"acceleration", acceleration},
		{"memory", memory},
		{"disk for VMs", diskForVMs},
		{"disk for images", diskForImages},
		{"libvirt", libvirtd},
		{"qemu", qemu},
		{"qemu's user", qemuUser},
		{"firewall", firewall},
		{"forwarding", forwarding},
		{"taps", taps},
		{"vhost", vhost},
		{"guest agent", guestAgent},
		{"ports", ports},
		{"public address", publicAddress},
		{"wallet", wallet},
		{"network", network},
		{"versions", versions},
		{"clock", clock},
		{"registration", registration},
	}
}

// MustFix tells whether any finding keeps the miner from working.
func MustFix(findings []Finding) bool {
	for _, f := range findings {
		if f.Level == Bad {
			return true
		}
	}
	return false
}

func ok(format string, args ...any) Finding {
	return Finding{Level: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) Finding {
	return Finding{Level: Warn, Found: fmt.Sprintf(format, args...), Mend: mend}
}

func bad(mend, format string, args ...any) Finding {
	return Finding{Level: Bad, Found: fmt.Sprintf(format, args...), Mend: mend}
}

func settingsFinding(path string, err error) Finding {
	f := ok("%s is valid", path)
	if errors.Is(err, fs.ErrNotExist) {
		f = bad("copy /usr/share/doc/hippius-miner/examples/miner.yaml there, and give name and public in it, or name another file with --config. "+
			"What follows was looked at with the defaults.", "there are no settings at %s", path)
	} else if err != nil {
		f = bad("hippius-miner sample shows all settings; /usr/share/doc/hippius-miner/examples/miner.yaml explains them. "+
			"What follows was looked at with the defaults.", "%v", err)
	}
	f.Check = "settings"
	return f
}
