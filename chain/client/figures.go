package client

import "context"

// Calls tells how many calls some node answered, whatever the answer, and how many none did.
func (c *Client) Calls() (answered, unanswered uint64) {
	return c.conn.answered.Load(), c.conn.unanswered.Load()
}

// NodeState is one chain node of the profile, and why it cannot be used; nil if it can.
type NodeState struct {
	Address string
	Err     error
}

// Nodes asks every chain node which chain it is of.
func (c *Client) Nodes(ctx context.Context) []NodeState {
	var out []NodeState
	for _, one := range c.each() {
		out = append(out, NodeState{Address: one.conn.ends[0].name, Err: one.Check(ctx)})
	}
	return out
}
