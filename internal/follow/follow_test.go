package follow

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hippius/compute/internal/store"
)

// call is a question, when it was asked and after what.
type call struct {
	after int
	at    time.Duration
}

// calls runs a follower whose list grows by one a question. It fails as told, and ends with the last answer.
func calls(t *testing.T, c Config[int, int], answers []error, poked int) (asked []call, failed int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start, poke := time.Now(), make(chan struct{}, 1)
		c.Poke = poke
		c.Fetch = func(_ context.Context, after int) (int, int, error) {
			asked = append(asked, call{after, time.Since(start)})
			if len(asked) == poked {
				poke <- struct{}{}
			}
			if len(asked) == len(answers) {
				cancel()
			}
			return after, after + 1, answers[len(asked)-1]
		}
		c.Apply = func(_ context.Context, batch, next int) error {
			if next != batch+1 {
				t.Errorf("batch %d is applied with cursor %d", batch, next)
			}
			return nil
		}
		c.Failed = func(error) { failed++ }
		if err := New(c).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return asked, failed
}

func TestRunPausesAndBacksOff(t *testing.T) {
	t.Parallel()
	away := errors.New("node away")
	for name, c := range map[string]struct {
		set     Config[int, int]
		answers []error
		poked   int
		want    []call
		failed  int
	}{
		"failures wait longer and ask the same": {
			set: Config[int, int]{Start: 7, Every: time.Second}, answers: []error{nil, away, away, nil, nil},
			want: []call{{7, 0}, {8, time.Second}, {8, 3 * time.Second}, {8, 7 * time.Second}, {9, 8 * time.Second}}, failed: 2,
		},
		"a poke is heeded at once": {
			set: Config[int, int]{Every: time.Second}, answers: []error{nil, nil, nil}, poked: 1,
			want: []call{{0, 0}, {1, 0}, {2, time.Second}},
		},
		"also after a failure": {
			set: Config[int, int]{Every: time.Second}, answers: []error{away, nil}, poked: 1,
			want: []call{{0, 0}, {0, 0}}, failed: 1,
		},
		"no longer than 16 intervals": {
			set: Config[int, int]{Every: time.Second}, answers: []error{away, away, away, away, away, away, nil},
			want: []call{
				{0, 0}, {0, 2 * time.Second}, {0, 6 * time.Second}, {0, 14 * time.Second}, {0, 30 * time.Second}, {0, 46 * time.Second}, {0, 62 * time.Second},
			}, failed: 6,
		},
		"no longer than told": {
			set: Config[int, int]{Every: time.Second, MaxPause: time.Second}, answers: []error{away, away, nil},
			want: []call{{0, 0}, {0, time.Second}, {0, 2 * time.Second}}, failed: 2,
		},
		"the end is no failure": {set: Config[int, int]{Every: time.Second}, answers: []error{away}, want: []call{{0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			asked, failed := calls(t, c.set, c.answers, c.poked)
			if !slices.Equal(asked, c.want) || failed != c.failed {
				t.Errorf("asked %v, %d failures; want %v and %d", asked, failed, c.want, c.failed)
			}
		})
	}
}

// The loop that waits is ended, too.
func TestRunEndsInAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		f := New(Config[int, int]{
			Every: time.Hour,
			Fetch: func(_ context.Context, after int) (int, int, error) { return 0, after, nil },
			Apply: func(context.Context, int, int) error { return nil },
		})
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("it waits on")
			<-done
		}
	})
}

// diary keeps a list of numbers with its cursor in a database, as a program does that follows the chain.
type diary struct {
	db     *store.DB
	list   store.Bucket[int]
	cursor store.Bucket[int]
	fail   error
}

func openDiary(t *testing.T, path string) *diary {
	t.Helper()
	db, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return &diary{db: db, list: store.NewBucket[int]("list"), cursor: store.NewBucket[int]("cursor")}
}

func (d *diary) start(t *testing.T) (at int) {
	t.Helper()
	err := d.db.View(func(tx *store.Tx) (err error) {
		at, _, err = d.cursor.Get(tx, "at")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// apply fails, if it is to, with the effects done and the cursor not.
func (d *diary) apply(_ context.Context, batch []int, next int) error {
	return d.db.Update(func(tx *store.Tx) error {
		for _, n := range batch {
			had, _, err := d.list.Get(tx, strconv.Itoa(n))
			if err == nil {
				err = d.list.Put(tx, strconv.Itoa(n), had+1)
			}
			if err != nil {
				return err
			}
		}
		if d.fail != nil {
			return d.fail
		}
		return d.cursor.Put(tx, "at", next)
	})
}

// Whatever fails, and however often the program starts anew, each change is taken in once.
func TestEachChangeOnce(t *testing.T) {
	t.Parallel()
	path, changes := filepath.Join(t.TempDir(), "db"), 0
	for life := range 4 {
		d := openDiary(t, path)
		f := New(Config[int, []int]{
			Start: d.start(t), Every: time.Second, Apply: d.apply,
			Fetch: func(_ context.Context, after int) (batch []int, next int, err error) {
				for n := after; n < changes; n++ {
					batch = append(batch, n)
				}
				return batch, changes, nil
			},
		})
		for step := range 6 {
			changes += 3
			d.fail = nil
			if (life+step)%3 == 1 || step == 5 && life < 3 { // and dies without having made up for it
				d.fail = errors.New("no space")
			}
			if err := f.Step(t.Context()); !errors.Is(err, d.fail) {
				t.Fatalf("life %d, step %d: %v, want %v", life, step, err, d.fail)
			}
		}
		if life == 3 {
			d.fail = nil
			if err := f.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen := 0
			err := d.db.View(func(tx *store.Tx) error {
				return d.list.Each(tx, "", func(n string, times int) error {
					seen++
					if times != 1 {
						t.Errorf("change %s was taken in %d times", n, times)
					}
					return nil
				})
			})
			if err != nil || seen != changes {
				t.Errorf("%d of %d changes were taken in: %v", seen, changes, err)
			}
		}
		if err := d.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
