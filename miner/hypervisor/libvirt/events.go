package libvirt

import (
	"context"
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
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	states, err := d.subscribe(following, c, lv.DomainEventIDLifecycle)
	if err != nil {
		c.end(err)
		return fmt.Errorf("follow lifecycle events: %w", err)
	}
	reboots, err := d.subscribe(following, c, lv.DomainEventIDReboot)
	if err != nil {
		c.end(err)
		return fmt.Errorf("follow reboot events: %w", err)
	}
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
		case event := <-states:
			if msg, ok := event.(*lv.DomainEventCallbackLifecycleMsg); ok {
				d.heard(ctx, msg.Msg)
			}
		case event := <-reboots:
			if msg, ok := event.(*lv.DomainEventCallbackRebootMsg); ok {
				d.events.reboot(idOf(msg.Msg.Dom.UUID))
			}
		case <-c.dead:
			if ctx.Err() == nil {
				d.log.Warn("the connection to libvirtd ended", "error", c.why)
			}
			return nil
		}
	}
}

// subscribe has events of one kind delivered until the connection ends. Those that come after ctx are dropped.
func (d *Driver) subscribe(ctx context.Context, c *connection, kind lv.DomainEventID) (<-chan any, error) {
	within, cancel := context.WithTimeout(ctx, d.link.timeout)
	defer cancel()
	if err := c.take(within); err != nil {
		return nil, err
	}
	out := make(chan any)
	_, err := call(within, d.link, c, func(c *connection) (struct{}, error) {
		lasting, cancel := context.WithCancel(context.WithoutCancel(ctx)) // as long as the connection
		events, err := c.SubscribeEvents(lasting, kind, nil)
		if err != nil {
			cancel()
			return struct{}{}, err
		}
		relay := func() {
			defer cancel()
			deliver(ctx, c, events, out, cancel)
		}
		if !d.link.begin(relay) {
			relay() // the connection has ended, too
		}
		return struct{}{}, nil
	})
	return out, err
}

// deliver hands events on until there are no more. It reads all there are, or
// go-libvirt's goroutine would wait for ever; cancel ends that when the
// connection has.
func deliver(ctx context.Context, c *connection, events <-chan any, out chan<- any, cancel func()) {
	dead := c.dead
	for {
		select {
		case event, open := <-events:
			if !open {
				return
			}
			select {
			case out <- event:
			case <-ctx.Done():
			case <-c.dead:
			}
		case <-dead:
			cancel()
			dead = nil
		}
	}
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
