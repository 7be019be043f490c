package nebula_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// From nothing to the first byte back: node started, lighthouse met, host
// found, tunnel and TCP connected. What a first hippius ssh waits for.
func BenchmarkColdConnect(b *testing.B) {
	op, alice := operator(b), tenant(b, 1)
	lh := start(b, "lighthouse", op.lighthouseConfig(b, loopback(1), alice))
	seen := op.as(lh, loopback(1))
	vm := start(b, "vm", onLoopback(alice.member(b, 2), seen))
	echo(b, vm)
	config := onLoopback(alice.member(b, 48), seen)
	for b.Loop() {
		laptop := start(b, "laptop", config)
		reaches(b, laptop, vm.Addr())
		b.StopTimer()
		require.NoError(b, laptop.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/connect")
}

// With the tunnel up: what every further stream waits for.
func BenchmarkWarmConnect(b *testing.B) {
	op, alice := operator(b), tenant(b, 1)
	lh := start(b, "lighthouse", op.lighthouseConfig(b, loopback(1), alice))
	seen := op.as(lh, loopback(1))
	vm := start(b, "vm", onLoopback(alice.member(b, 2), seen))
	echo(b, vm)
	laptop := start(b, "laptop", onLoopback(alice.member(b, 48), seen))
	reaches(b, laptop, vm.Addr())
	for b.Loop() {
		conn, err := dial(b, laptop, vm.Addr(), 5*time.Second)
		require.NoError(b, err)
		pong(b, conn)
		require.NoError(b, conn.Close())
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/connect")
}

// One tenant more on a lighthouse that serves ten thousand.
func BenchmarkReload10kAuthorities(b *testing.B) {
	op := operator(b)
	config := op.lighthouseConfig(b, loopback(1))
	all := many(b, 10_001)
	config.CAs = all[:10_000]
	lh := start(b, "lighthouse", config)
	for b.Loop() {
		config.CAs = all
		require.NoError(b, lh.Reload(config))
	}
}
