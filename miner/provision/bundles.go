package provision

import (
	"context"
	"sync"

	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
)

// opened secrets of one instance.
type opened struct {
	bundle   instance.Bundle
	userData []byte
}

// Bundles are the opened secrets of one VM's instances, in memory alone. The zero value is ready.
type Bundles struct {
	mu    sync.Mutex
	bySeq map[uint32]opened
}

// Has tells whether an instance's secrets are here.
func (b *Bundles) Has(seq uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.bySeq[seq]
	return ok
}

// Clear forgets all.
func (b *Bundles) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.bySeq)
}

// open gives the secrets of an instance, asking the keepers once.
func (b *Bundles) open(ctx context.Context, from Secrets, id vm.ID, seq uint32) (opened, error) {
	b.mu.Lock()
	s, ok := b.bySeq[seq]
	b.mu.Unlock()
	if ok {
		return s, nil
	}
	bundle, userData, err := from.Collect(ctx, id, seq)
	if err != nil {
		return opened{}, stage(ErrSecrets, err)
	}
	s = opened{bundle: bundle, userData: userData}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bySeq == nil {
		b.bySeq = map[uint32]opened{}
	}
	b.bySeq[seq] = s
	return s, nil
}
