package seed

// Bounds of a seed, for the test that compares them with what must fit in.
const (
	MaxKeys    = maxKeys
	MaxKeyLine = maxKeyLine
	MaxApps    = maxApps
)
