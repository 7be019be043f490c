package console_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	minerv1 "github.com/hippius/compute/api/node/miner/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/hypervisor/fake"
)

// sameLog is a driver all of whose VMs have said the same.
type sameLog struct{ *fake.Driver }

func (sameLog) ConsoleLog(context.Context, vm.ID) ([]byte, error) { return []byte("ready\n"), nil }

// tenant is another account with a VM here.
func (b *bench) tenant(n int) vm.ID {
	b.t.Helper()
	id := vm.ID(fmt.Sprintf("%032x", n))
	w, err := wallet.FromKey(bytes.Repeat([]byte{byte(100 + n)}, 32))
	if err != nil {
		b.t.Fatal(err)
	}
	b.others[id] = w
	return id
}

// follow a VM's log as its owner.
func (b *bench) follow(id vm.ID) (grpc.ServerStreamingClient[minerv1.LogsResponse], error) {
	b.t.Helper()
	mine := b.owner
	defer func() { b.owner = mine }()
	if w := b.others[id]; w != nil {
		b.owner = w
	}
	g := b.grant(func(g *grant.Grant) { g.VMID, g.ExpiresAt = id, time.Now().Add(10*time.Minute).Unix() })
	logs, err := b.client.Logs(b.t.Context(), &minerv1.LogsRequest{Grant: g, VmId: string(id), Follow: true})
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = logs.Recv()
	return logs, err
}

// One account has no more than its part of the consoles, and accounts that have all of them give way.
func TestConsolesAreShared(t *testing.T) {
	b := newBenchOn(t, func(d *fake.Driver) hypervisor.Console { return sameLog{d} })
	var tenants []vm.ID
	for n := range 9 {
		tenants = append(tenants, b.tenant(n+1))
	}
	oldest := b.open(t.Context(), vmID, b.grant(func(g *grant.Grant) { g.ExpiresAt = time.Now().Add(10 * time.Minute).Unix() }))
	hear(t, oldest, "ready")
	followed := make([]grpc.ServerStreamingClient[minerv1.LogsResponse], 0, 63)
	for range 7 {
		l, err := b.follow(vmID)
		if err != nil {
			t.Fatal(err)
		}
		followed = append(followed, l)
	}
	if _, err := b.follow(vmID); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "8 consoles") {
		t.Errorf("the ninth of one account: %v, want ResourceExhausted", err)
	}
	for _, id := range tenants[:7] {
		for range 8 {
			l, err := b.follow(id)
			if err != nil {
				t.Fatal(err)
			}
			followed = append(followed, l)
		}
	}
	// All 64 are taken. The next tenant is served, and the oldest of those with most is told why it ends.
	if _, err := b.follow(tenants[7]); err != nil {
		t.Fatalf("a tenant is kept out by those who have all consoles: %v", err)
	}
	var err error
	for err == nil {
		_, err = oldest.Recv()
	}
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "another account") {
		t.Errorf("the oldest ended with %v", err)
	}
	if _, err := b.follow(tenants[8]); err != nil {
		t.Fatalf("the next tenant: %v", err)
	}
	// Of the 63 others one gave way, to the second.
	ends := make(chan error, len(followed))
	for _, l := range followed {
		go func() {
			_, err := l.Recv()
			ends <- err
		}()
	}
	if err := <-ends; status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "another account") {
		t.Errorf("the second ended with %v", err)
	}
	select {
	case err := <-ends:
		t.Errorf("a third ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
}
