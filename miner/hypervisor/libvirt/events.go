package libvirt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hippius/compute/core/vm"
)

// retryEvery is how often libvirtd is tried while it is down.
const retryEvery = 500 * time.Millisecond

// watch follows libvirtd's events until ctx ends, over every restart of it.
func (d *Driver) watch(ctx context.Context) {
	wasDown := false
	for ctx.Err() == nil {
		err := d.follow(ctx)
		d.seen.follow(false)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !wasDown {
			d.log.Warn("libvirtd is not reachable", "error", err)
		}
		wasDown = err != nil
		d.events.publish("")
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// follow subscribes on one connection and handles events until it breaks.
func (d *Driver) follow(ctx context.Context) error {
	c, err := d.link.get(ctx)
	if err != nil {
		return err
	}
	// The subscriptions end with the connection.
	lasting := context.WithoutCancel(ctx)
	states, err := c.SubscribeEvents(lasting, lv.DomainEventIDLifecycle, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("follow lifecycle events: %w", err), c.raw.Close())
	}
	defer drain(states)
	reboots, err := c.SubscribeEvents(lasting, lv.DomainEventIDReboot, nil)
	if err != nil {
		return errors.Join(fmt.Errorf("follow reboot events: %w", err), c.raw.Close())
	}
	defer drain(reboots)
	d.seen.follow(true)
	d.log.Info("following libvirtd")
	d.wg.Go(func() {
		if err := d.dropSecrets(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("drop disk keys", "error", err)
		}
	})
	d.events.publish("") // whatever happened unseen
	for {
		select {
		case event, open := <-states:
			if !open {
				return nil
			}
			if msg, ok := event.(*lv.DomainEventCallbackLifecycleMsg); ok {
				d.heard(ctx, msg.Msg)
			}
		case event, open := <-reboots:
			if !open {
				return nil
			}
			if msg, ok := event.(*lv.DomainEventCallbackRebootMsg); ok {
				d.events.reboot(idOf(msg.Msg.Dom.UUID))
			}
		case <-c.dead:
			return nil
		}
	}
}

// drain reads what is left, or go-libvirt's goroutine would wait for ever.
func drain(events <-chan any) {
	go func() {
		for range events {
		}
	}()
}

// heard handles one change of state.
func (d *Driver) heard(ctx context.Context, msg lv.DomainEventLifecycleMsg) {
	if !strings.HasPrefix(msg.Dom.Name, d.domainName("")) {
		return
	}
	id := idOf(msg.Dom.UUID)
	d.log.Debug("domain event", "vm_id", id, "event", msg.Event, "detail", msg.Detail)
	switch lv.DomainEventType(msg.Event) {
	case lv.DomainEventStarted:
		d.seen.begins(id)
	case lv.DomainEventShutdown:
		who := endedByGuest
		if lv.DomainEventShutdownDetailType(msg.Detail) == lv.DomainEventShutdownHost {
			who = endedByHost
		}
		d.seen.ends(id, who)
	case lv.DomainEventStopped:
		// Looked at now, the end is remembered over a restart of libvirtd.
		looking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if _, err := d.Inspect(looking, id); err != nil && ctx.Err() == nil {
			d.log.Warn("look at a VM that stopped", "vm_id", id, "error", err)
		}
	}
	d.events.publish(id)
}

// subscribers are those who want to know that something changed.
type subscribers struct {
	mu      sync.Mutex
	subs    map[chan vm.ID]struct{}
	reboots map[chan vm.ID]struct{}
}

// Events implements hypervisor.Events.
func (d *Driver) Events(ctx context.Context) <-chan vm.ID {
	return d.events.subscribe(ctx, &d.events.subs)
}

// subscribe adds a channel to a set until ctx ends.
func (p *subscribers) subscribe(ctx context.Context, set *map[chan vm.ID]struct{}) <-chan vm.ID {
	ch := make(chan vm.ID, 64)
	p.mu.Lock()
	defer p.mu.Unlock()
	if *set == nil {
		*set = make(map[chan vm.ID]struct{})
	}
	(*set)[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(*set, ch)
		close(ch)
	})
	return ch
}

func (p *subscribers) publish(id vm.ID) { p.tell(id, &p.subs) }
func (p *subscribers) reboot(id vm.ID)  { p.tell(id, &p.reboots) }

func (p *subscribers) tell(id vm.ID, set *map[chan vm.ID]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ch := range *set {
		select {
		case ch <- id:
		default: // a full channel tells already
		}
	}
}
