package guest

import (
	"encoding/json"
	"fmt"
)

// spare is left in a line for what a message has beside the mesh, in bytes.
const spare = 1 << 10

// Fit gives what of m a guest that speaks theirs can be told: all of it, or to one that reads MaxLine at most, the newest revocations
// that fit beside the lighthouses. No versions mean version 1. The last of the blocklist are the newest. ErrTooLong if not even the
// lighthouses fit.
func (m Mesh) Fit(theirs *Versions) (Mesh, error) {
	if theirs != nil && theirs.Newest >= longLines {
		return m, nil
	}
	all := m.Blocklist
	m.Blocklist = nil
	rest, err := json.Marshal(m)
	if err != nil {
		return Mesh{}, fmt.Errorf("encode channel message: %w", err)
	}
	left := MaxLine - spare - len(rest)
	if left < 0 {
		return Mesh{}, fmt.Errorf("%w: the lighthouses take %d bytes; %d fit beside the rest", ErrTooLong, len(rest), MaxLine-spare)
	}
	from := len(all)
	for ; from > 0; from-- {
		entry, err := json.Marshal(all[from-1])
		if err != nil {
			return Mesh{}, fmt.Errorf("encode channel message: %w", err)
		}
		if left -= len(entry) + len(","); left < 0 {
			break
		}
	}
	m.Blocklist = all[from:]
	return m, nil
}
