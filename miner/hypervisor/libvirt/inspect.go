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

// domainInfo is what libvirtd says of one domain at one time.
type domainInfo struct {
	domain lv.Domain
	label  label
	state  lv.DomainState
	reason int32
	tap    string
	mac    string
	memory uint64 // of the guest, in KiB
}

// look asks about a domain of ours. ErrNotFound for those of others.
func (d *Driver) look(ctx context.Context, id vm.ID) (domainInfo, error) {
	return query(ctx, d.link, func(l *lv.Libvirt) (domainInfo, error) {
		domain, err := l.DomainLookupByUUID(uuidOf(id))
		if err != nil {
			return domainInfo{}, err
		}
		return d.lookAt(l, domain)
	})
}

func (d *Driver) lookAt(l *lv.Libvirt, domain lv.Domain) (domainInfo, error) {
	s := domainInfo{domain: domain}
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

// Inspect implements hypervisor.Inventory.
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

// List implements hypervisor.Inventory.
func (d *Driver) List(ctx context.Context) ([]hypervisor.Info, error) {
	found, err := query(ctx, d.link, func(l *lv.Libvirt) ([]domainInfo, error) {
		domains, _, err := l.ConnectListAllDomains(1, 0)
		if err != nil {
			return nil, err
		}
		var found []domainInfo
		for _, domain := range domains {
			if !strings.HasPrefix(domain.Name, d.domainName("")) {
				continue
			}
			s, err := d.lookAt(l, domain)
			switch {
			case errors.Is(explain(err), hypervisor.ErrNotFound): // another's, or gone meanwhile
			case err != nil:
				return nil, err
			default:
				found = append(found, s)
			}
		}
		return found, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	infos := make([]hypervisor.Info, 0, len(found))
	for _, s := range found {
		infos = append(infos, d.info(ctx, idOf(s.domain.UUID), s))
	}
	slices.SortFunc(infos, func(a, b hypervisor.Info) int { return cmp.Compare(a.ID, b.ID) })
	return infos, nil
}

// info turns a domainInfo into what callers see, and remembers it.
func (d *Driver) info(ctx context.Context, id vm.ID, s domainInfo) hypervisor.Info {
	now := d.translate(s)
	if now.State.Alive() {
		now.PID, now.Since = d.process(id)
	}
	if now.State == hypervisor.StateStopped && now.Stop == hypervisor.StopGuest {
		now = d.seen.whoEnded(ctx, id, now)
	}
	now, err := d.seen.note(id, now)
	if err != nil {
		d.log.Warn("store state of a VM", "error", err)
	}
	return hypervisor.Info{
		ID: id, InstanceSeq: s.label.InstanceSeq, Generation: s.label.Generation, Name: s.label.Name,
		State: now.State, StopReason: now.Stop, PauseReason: now.Pause, PID: now.PID, Since: now.Since,
		Tap: s.tap, MAC: s.mac,
	}
}

// translate maps libvirt's states and reasons to ours. StopUnknown on a domain
// that never ran is put right by the journal.
func (d *Driver) translate(s domainInfo) lastSeen {
	switch s.state {
	case lv.DomainPaused:
		switch lv.DomainPausedReason(s.reason) {
		case lv.DomainPausedUser:
			return lastSeen{State: hypervisor.StatePaused, Pause: hypervisor.PauseRequested}
		case lv.DomainPausedIoerror:
			// The disks' error policy pauses for nothing but a full host.
			return lastSeen{State: hypervisor.StatePaused, Pause: hypervisor.PauseNoSpace}
		case lv.DomainPausedShuttingDown, lv.DomainPausedStartingUp, lv.DomainPausedSnapshot:
			return lastSeen{State: hypervisor.StateRunning} // passing
		default:
			return lastSeen{State: hypervisor.StatePaused, Pause: hypervisor.PauseOther}
		}
	case lv.DomainShutoff:
		switch lv.DomainShutoffReason(s.reason) {
		case lv.DomainShutoffShutdown:
			return lastSeen{State: hypervisor.StateStopped, Stop: hypervisor.StopGuest}
		case lv.DomainShutoffDestroyed:
			return lastSeen{State: hypervisor.StateStopped, Stop: hypervisor.StopForced}
		case lv.DomainShutoffFailed:
			return lastSeen{State: hypervisor.StateStopped, Stop: hypervisor.StopStartFailed}
		case lv.DomainShutoffCrashed, lv.DomainShutoffDaemon:
			return lastSeen{State: hypervisor.StateCrashed, Stop: hypervisor.StopProcessDied}
		default:
			return lastSeen{State: hypervisor.StateStopped, Stop: hypervisor.StopUnknown}
		}
	case lv.DomainCrashed:
		return lastSeen{State: hypervisor.StateCrashed, Stop: hypervisor.StopProcessDied}
	case lv.DomainPmsuspended:
		return lastSeen{State: hypervisor.StatePaused, Pause: hypervisor.PauseOther}
	default: // running, blocked, shutting down
		return lastSeen{State: hypervisor.StateRunning}
	}
}

// process reads the VM's pid file, which QEMU writes once when it starts.
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
