package devnet

import (
	"context"
	"fmt"
	"slices"
)

// Restart ends a program, such as "miner0", and starts it again. It returns when
// the new one has been started, not when it works.
func (n *Net) Restart(ctx context.Context, name string) error {
	i := slices.IndexFunc(n.running, func(r *running) bool { return r.name == name })
	if i < 0 {
		return fmt.Errorf("restart %s: no program of the network is called so", name)
	}
	old := n.running[i]
	if err := old.stop(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	r, err := n.start(old.program) //nolint:contextcheck // a program lives until Close
	if err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	n.running[i] = r
	return nil
}

// PID of a program's process; 0 if it runs inside this one, or there is none.
func (n *Net) PID(name string) int {
	for _, r := range n.running {
		if r.name == name {
			return r.pid
		}
	}
	return 0
}

// LogFile is what a program that is a process prints to.
func (n *Net) LogFile(name string) string { return n.path(name + ".log") }

// MinerName is that of the miner of an operator's account, such as "miner0".
func (n *Net) MinerName(operator string) (name string, index int, ok bool) {
	for i, m := range n.miners {
		if m.operator.address() == operator {
			return m.name, i, true
		}
	}
	return "", 0, false
}
