package tenant

// Bounds of deals, for the test that compares them with what must fit in.
const (
	TopUpBelow = topUpBelow
	GrantLife  = grantLife
)
