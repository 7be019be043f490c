package peer

import (
	"container/list"
	"net/netip"
)

// shares is who holds how much of something of which there is only so much. When all is taken, the network that holds most loses to
// one that holds less, and within a network the host that holds most: neither a few hosts nor a network with many lock out the rest.
// It is not safe for concurrent use.
type shares[T any] struct {
	held     int
	turn     uint64 // counts places taken and renewed, for their age
	networks map[netip.Prefix]*network
}

// network is what the hosts of one network hold, each the oldest first.
type network struct {
	held  int
	hosts map[string]*list.List
}

// place is one of what is shared, held by somebody.
type place[T any] struct {
	from  origin
	what  T
	turn  uint64
	entry *list.Element // nil once it is free
}

func newShares[T any]() *shares[T] { return &shares[T]{networks: make(map[netip.Prefix]*network)} }

// take counts one more for a host.
func (s *shares[T]) take(from origin, what T) *place[T] {
	n := s.networks[from.network]
	if n == nil {
		n = &network{hosts: make(map[string]*list.List)}
		s.networks[from.network] = n
	}
	if n.hosts[from.host] == nil {
		n.hosts[from.host] = list.New()
	}
	s.turn++
	p := &place[T]{from: from, what: what, turn: s.turn}
	p.entry = n.hosts[from.host].PushBack(p)
	n.held++
	s.held++
	return p
}

// free takes one back; one that is free already changes nothing. It says whether it did.
func (s *shares[T]) free(p *place[T]) bool {
	if p.entry == nil {
		return false
	}
	n := s.networks[p.from.network]
	host := n.hosts[p.from.host]
	host.Remove(p.entry)
	p.entry = nil
	s.held--
	if host.Len() == 0 {
		delete(n.hosts, p.from.host)
	}
	if n.held--; n.held == 0 {
		delete(s.networks, p.from.network)
	}
	return true
}

// renew makes a place the youngest of its host's.
func (s *shares[T]) renew(p *place[T]) {
	s.turn++
	p.turn = s.turn
	s.networks[p.from.network].hosts[p.from.host].MoveToBack(p.entry)
}

// ofHost and ofNetwork are how many are held by a host, and by all of its network.
func (s *shares[T]) ofHost(from origin) int {
	if n := s.networks[from.network]; n != nil && n.hosts[from.host] != nil {
		return n.hosts[from.host].Len()
	}
	return 0
}

func (s *shares[T]) ofNetwork(from origin) int {
	if n := s.networks[from.network]; n != nil {
		return n.held
	}
	return 0
}

// giving is the place that a newcomer takes: of the network that holds most, there of the host that holds most, the oldest that may
// go. Nil if none holds at least two more than the newcomer's: else places would go to and fro.
func (s *shares[T]) giving(from origin, may func(T) bool) (found *place[T]) {
	mine, most := s.ofNetwork(from), 0
	for at, n := range s.networks {
		own := at == from.network
		if n.held <= most || !own && n.held <= mine+1 {
			continue
		}
		least := 1
		if own {
			least = s.ofHost(from) + 2
		}
		if p := oldest(n, least, may); p != nil {
			most, found = n.held, p
		}
	}
	return found
}

// oldest that may go, of the hosts of a network that hold most, at least so much.
func oldest[T any](n *network, least int, may func(T) bool) (found *place[T]) {
	for _, held := range n.hosts {
		if held.Len() < least {
			continue
		}
		for e := held.Front(); e != nil; e = e.Next() {
			p, ok := e.Value.(*place[T])
			if !ok || !may(p.what) {
				continue
			}
			if found == nil || held.Len() > least || p.turn < found.turn {
				found, least = p, held.Len()
			}
			break
		}
	}
	return found
}

// anyone may go.
func anyone[T any](T) bool { return true }
