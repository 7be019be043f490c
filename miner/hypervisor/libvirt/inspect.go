package libvirt

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
)

// uuidOf returns libvirt's form of a valid id.
func uuidOf(id vm.ID) (uuid lv.UUID) {
	_, _ = hex.Decode(uuid[:], []byte(id)) // a valid id is hex of that length
	return uuid
}

func idOf(uuid lv.UUID) vm.ID { return vm.ID(hex.EncodeToString(uuid[:])) }

// sight is what libvirtd says of one domain at one moment.
type sight struct {
	domain lv.Domain
	label  label
	state  lv.DomainState
	reason int32
	tap    string
	mac    string
	memory uint64 // of the guest, in KiB
}

// look asks about a domain of ours. ErrNotFound for those of others.
func (d *Driver) look(ctx context.Context, id vm.ID) (sight, error) {
	return query(ctx, d.link, func(l *lv.Libvirt) (sight, error) {
		domain, err := l.DomainLookupByUUID(uuidOf(id))
		if err != nil {
			return sight{}, err
		}
		return d.lookAt(l, domain)
	})
}

func (d *Driver) lookAt(l *lv.Libvirt, domain lv.Domain) (sight, error) {
	s := sight{domain: domain}
	// What is to be at the next start, not what an older start left.
	text, err := l.DomainGetXMLDesc(domain, lv.DomainXMLInactive)
	if err != nil {
		return s, err
	}
	var desc libvirtxml.Domain
	if err := desc.Unmarshal(text); err != nil {
		return s, fmt.Errorf("read domain %s: %w", domain.Name, err)
	}
	var ours bool
	if s.label, ours = readLabel(&desc, d.cfg.Tag); !ours {
		return s, fmt.Errorf("domain %s is another's: %w", domain.Name, hypervisor.ErrNotFound)
	}
	if desc.Devices != nil {
		for _, nic := range desc.Devices.Interfaces {
			if nic.Target != nil && nic.MAC != nil {
				s.tap, s.mac = nic.Target.Dev, nic.MAC.Address
			}
		}
	}
	if desc.Memory != nil {
		s.memory = uint64(desc.Memory.Value) // libvirt writes KiB, whatever it was given
	}
	state, reason, err := l.DomainGetState(domain, 0)
	if err != nil {
		return s, err
	}
	s.state, s.reason = lv.DomainState(state), reason
	return s, nil
}

// Inspect implements vm.Inventory.
func (d *Driver) Inspect(ctx context.Context, id vm.ID) (hypervisor.Info, error) {
	if err := hypervisor.CheckID(id); err != nil {
		return hypervisor.Info{}, err
	}
	s, err := d.look(ctx, id)
	if errors.Is(err, hypervisor.ErrNotFound) {
		return hypervisor.Info{ID: id, State: hypervisor.StateAbsent}, nil
	}
	if err != nil {
		return hypervisor.Info{}, fmt.Errorf("inspect vm %s: %w", id, err)
	}
	return d.info(ctx, id, s), nil
}

// List implements vm.Inventory.
func (d *Driver) List(ctx context.Context) ([]hypervisor.Info, error) {
	sights, err := query(ctx, d.link, func(l *lv.Libvirt) ([]sight, error) {
		domains, _, err := l.ConnectListAllDomains(1, 0)
		if err != nil {
			return nil, err
		}
		var sights []sight
		for _, domain := range domains {
			if !strings.HasPrefix(domain.Name, d.domainName("")) {
				continue
			}
			s, err := d.lookAt(l, domain)
			switch {
			case errors.Is(explain(err, false), hypervisor.ErrNotFound): // another's, or gone meanwhile
			case err != nil:
				return nil, err
			default:
				sights = append(sights, s)
			}
		}
		return sights, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	infos := make([]hypervisor.Info, 0, len(sights))
	for _, s := range sights {
		infos = append(infos, d.info(ctx, idOf(s.domain.UUID), s))
	}
	slices.SortFunc(infos, func(a, b hypervisor.Info) int { return cmp.Compare(a.ID, b.ID) })
	return infos, nil
}

// info turns a sight into what callers see, and remembers it.
func (d *Driver) info(ctx context.Context, id vm.ID, s sight) hypervisor.Info {
	now := d.translate(s)
	if now.State.Alive() {
		now.PID, now.Since = d.process(id)
	}
	if now.State == hypervisor.StateStopped && now.Stop == hypervisor.StopGuest {
		now = d.seen.whoEnded(ctx, id, now)
	}
	now, err := d.seen.note(id, now)
	if err != nil {
		d.log.Warn("a machine's state is not written down", "err", err)
	}
	return hypervisor.Info{
		ID: id, InstanceSeq: s.label.InstanceSeq, Generation: s.label.Generation, Name: s.label.Name,
		State: now.State, StopReason: now.Stop, PauseReason: now.Pause, PID: now.PID, Since: now.Since,
		Tap: s.tap, MAC: s.mac,
	}
}

// translate maps libvirt's states and reasons to ours. StopUnknown on a domain
// that never ran is put right by the journal.
func (d *Driver) translate(s sight) moment {
	switch s.state {
	case lv.DomainPaused:
		switch lv.DomainPausedReason(s.reason) {
		case lv.DomainPausedUser:
			return moment{State: hypervisor.StatePaused, Pause: hypervisor.PauseRequested}
		case lv.DomainPausedIoerror:
			// The disks' error policy pauses for nothing but a full host.
			return moment{State: hypervisor.StatePaused, Pause: hypervisor.PauseNoSpace}
		case lv.DomainPausedShuttingDown, lv.DomainPausedStartingUp, lv.DomainPausedSnapshot:
			return moment{State: hypervisor.StateRunning} // passing
		default:
			return moment{State: hypervisor.StatePaused, Pause: hypervisor.PauseOther}
		}
	case lv.DomainShutoff:
		switch lv.DomainShutoffReason(s.reason) {
		case lv.DomainShutoffShutdown:
			return moment{State: hypervisor.StateStopped, Stop: hypervisor.StopGuest}
		case lv.DomainShutoffDestroyed:
			return moment{State: hypervisor.StateStopped, Stop: hypervisor.StopForced}
		case lv.DomainShutoffFailed:
			return moment{State: hypervisor.StateStopped, Stop: hypervisor.StopStartFailed}
		case lv.DomainShutoffCrashed, lv.DomainShutoffDaemon:
			return moment{State: hypervisor.StateCrashed, Stop: hypervisor.StopProcessDied}
		default:
			return moment{State: hypervisor.StateStopped, Stop: hypervisor.StopUnknown}
		}
	case lv.DomainCrashed:
		return moment{State: hypervisor.StateCrashed, Stop: hypervisor.StopProcessDied}
	case lv.DomainPmsuspended:
		return moment{State: hypervisor.StatePaused, Pause: hypervisor.PauseOther}
	default: // running, blocked, shutting down
		return moment{State: hypervisor.StateRunning}
	}
}

// process reads the machine's pid file, which QEMU writes once when it starts.
func (d *Driver) process(id vm.ID) (pid int, since time.Time) {
	path := filepath.Join(d.cfg.LibvirtRunDir, "qemu", d.domainName(id)+".pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, time.Time{}
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, time.Time{}
	}
	if about, err := os.Stat(path); err == nil {
		since = about.ModTime().UTC()
	}
	return pid, since
}
