package guest

// Spoken are the versions that this program speaks.
func Spoken() Versions { return Versions{Oldest: 1, Newest: longLines} }
