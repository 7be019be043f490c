package tenant

import (
	"context"

	"github.com/hippius/compute/core/node"
)

// Miner by operator's address or by name, which need not be unique.
func (r *Reader) Miner(ctx context.Context, ref string) (node.Miner, error) {
	miners, err := r.chain.Miners(ctx)
	if err != nil {
		return node.Miner{}, err
	}
	var found []node.Miner
	for _, m := range miners {
		if m.Operator == ref {
			return m, nil
		}
		if m.Name == ref {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return node.Miner{}, fault(NoMiner, "", "there is no miner %q", ref)
	default:
		return node.Miner{}, fault(ManyMiners, "", "%d miners are called %q; give the operator's address", len(found), ref)
	}
}

// operators of miners that were given by name or by operator's address.
func (r *Reader) operators(ctx context.Context, refs []string) (out []string, err error) {
	for _, ref := range refs {
		m, err := r.Miner(ctx, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, m.Operator)
	}
	return out, nil
}
