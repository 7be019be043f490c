package operator

import (
	"fmt"
	"io"
	"time"
)

// progress shows what is new, with how long it took; at a terminal one line is written over.
type progress struct {
	out   io.Writer
	live  bool
	start time.Time
	last  string
}

func newProgress(out io.Writer, live bool) *progress {
	return &progress{out: out, live: live, start: time.Now()}
}

func (p *progress) show(text string) {
	fresh := text != p.last
	p.last = text
	line := fmt.Sprintf("%8s  %s", time.Since(p.start).Truncate(time.Second), text)
	switch {
	case p.live:
		_, _ = fmt.Fprintf(p.out, "\r%s\x1b[K", line)
	case fresh:
		_, _ = fmt.Fprintln(p.out, line)
	}
}

// end leaves the line that is written over.
func (p *progress) end() {
	if p.live && p.last != "" {
		_, _ = fmt.Fprintln(p.out)
	}
}
