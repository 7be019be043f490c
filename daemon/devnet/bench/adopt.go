package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// adoptWithin bounds how long a restarted miner may take.
const adoptWithin = time.Minute

// adopt restarts the miner's daemon under a running VM, and measures from
// the new one's start until it has taken the VM over.
func adopt(ctx context.Context, o Options, name string) error {
	ctx, cancel := context.WithTimeout(ctx, adoptWithin)
	defer cancel()
	var took []float64
	for range min(o.Runs, 3) {
		v, err := o.Net.Chain().VMByName(ctx, o.account, name)
		if err != nil {
			return err
		}
		miner, _, ok := o.Net.MinerName(v.Status.Miner)
		if !ok {
			return fmt.Errorf("%s is on no miner of the network", name)
		}
		log, err := os.Open(o.Net.LogFile(miner))
		if err != nil {
			return fmt.Errorf("log of %s: %w", miner, err)
		}
		_, err = log.Seek(0, io.SeekEnd)
		if err == nil {
			err = o.Net.Restart(ctx, miner)
		}
		start := time.Now()
		if err == nil {
			err = awaitLine(ctx, log, "VM adopted", string(v.ID))
		}
		took = append(took, time.Since(start).Seconds())
		if err = errors.Join(err, log.Close()); err != nil {
			return fmt.Errorf("adopt %s: %w", name, err)
		}
	}
	o.print("agent_adopt_seconds", median(took), "s")
	return nil
}

// awaitLine reads what is added to a file until a line holds all words.
func awaitLine(ctx context.Context, f io.Reader, words ...string) error {
	var text strings.Builder
	for {
		if _, err := io.Copy(&text, f); err != nil {
			return err
		}
		for line := range strings.Lines(text.String()) {
			found := 0
			for _, w := range words {
				if strings.Contains(line, w) {
					found++
				}
			}
			if found == len(words) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no line with %q: %w", words, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
