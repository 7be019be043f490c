package guest

import "fmt"

// Versions of this language that a program speaks. New messages and fields raise nothing: who does not know them steps
// over them. What an older program would misunderstand raises Newest; what is unsupported from now on, Oldest.
type Versions struct {
	Oldest int `json:"oldest"`
	Newest int `json:"newest"`
}

// longLines is the first version whose guests read lines of MaxLineToGuest; earlier ones read MaxLine.
const longLines = 2

// Meets says why a host and its guest cannot talk, or nil. No versions mean version 1.
// A VM takes its host's agent at each start, so a restart makes them agree, whichever is older.
func (v Versions) Meets(other *Versions) error {
	theirs := Versions{Oldest: 1, Newest: 1}
	if other != nil {
		theirs = *other
	}
	if theirs.Oldest < 1 || theirs.Newest < theirs.Oldest {
		return fmt.Errorf("the other side says that it speaks versions %d to %d, which is no range", theirs.Oldest, theirs.Newest)
	}
	if theirs.Newest >= v.Oldest && theirs.Oldest <= v.Newest {
		return nil
	}
	return fmt.Errorf("the VM's agent and its host speak different versions (here %d to %d, there %d to %d): restart the VM, it takes its host's agent at its start",
		v.Oldest, v.Newest, theirs.Oldest, theirs.Newest)
}
