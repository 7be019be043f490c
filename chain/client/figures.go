package client

// Calls tells how many calls some node answered, whatever the answer, and how many none did.
func (c *Client) Calls() (answered, unanswered uint64) {
	return c.conn.answered.Load(), c.conn.unanswered.Load()
}
