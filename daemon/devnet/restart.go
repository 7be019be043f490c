package devnet

import (
	"context"
	"fmt"
	"slices"
)

// Restart starts a program, such as "miner0", again with the settings it had,
// after ending it unless Kill has. It returns when the new one has been
// started, not when it works; a libvirtd works then.
func (n *Net) Restart(ctx context.Context, name string) error {
	if m := n.libvirtdOf(name); m != nil {
		m.lab.StopLibvirt()
		return m.lab.StartLibvirt(ctx)
	}
	if i := slices.IndexFunc(n.down, func(p program) bool { return p.name == name }); i >= 0 {
		if err := n.launch(n.down[i]); err != nil { //nolint:contextcheck // a program lives until Close
			return fmt.Errorf("restart %s: %w", name, err)
		}
		n.down = slices.Delete(n.down, i, i+1)
		return nil
	}
	old := n.find(name)
	if old == nil {
		return fmt.Errorf("restart %s: %w", name, n.noProgram())
	}
	if err := old.stop(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	r, err := n.start(old.program) //nolint:contextcheck // a program lives until Close
	if err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	n.running[slices.Index(n.running, old)] = r
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
