package computetest

import (
	"testing"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/core/vm"
)

const secretsAway = "secrets_unavailable"

// coming has a VM's miner report for so many seconds, every 30 s, that it provisions the VM, for the reasons by turns, for as long as it
// holds it.
func (w *world) coming(id string, m apptest.Account, seconds int64, reasons ...string) {
	w.t.Helper()
	for i, from := 0, w.Now(); w.Now() < from+seconds && w.vm(id).Status.Miner == m.Address; i++ {
		r := w.says(id, vm.Provisioning)
		r.Reason = reasons[i%len(reasons)]
		w.report(r)
		w.NextBlock(29) // the report's block takes a second
	}
}

// A miner that cannot start a VM without data, as its secrets cannot be opened, holds its room for silence_seconds; one that fetches the
// image has the time of a start, and so has one that is held up for a while and starts it then. Nothing lengthens that.
func TestStalledStartHoldsNoRoom(t *testing.T) {
	type part struct {
		seconds int64
		reasons []string
	}
	for name, c := range map[string]struct {
		parts       []part
		least, most int64
	}{
		"no secrets":                    {[]part{{3600, []string{secretsAway}}}, 600, 660},
		"the hypervisor is down":        {[]part{{3600, []string{"hypervisor_down"}}}, 600, 660},
		"no secrets after a start":      {[]part{{300, []string{""}}, {3600, []string{secretsAway}}}, 900, 960},
		"fetches the image":             {[]part{{3600, []string{vm.ReasonFetchingImage}}}, 1800, 1860},
		"starts it":                     {[]part{{3600, []string{""}}}, 1800, 1860},
		"held up, and starts it":        {[]part{{60, []string{secretsAway}}, {3600, []string{""}}}, 1800, 1860},
		"held up late, and starts it":   {[]part{{1230, []string{vm.ReasonFetchingImage}}, {60, []string{secretsAway}}, {3600, []string{""}}}, 1800, 1860},
		"held up twice":                 {[]part{{60, []string{secretsAway}}, {480, []string{""}}, {120, []string{secretsAway}}, {3600, []string{""}}}, 1800, 1860},
		"no secrets after the download": {[]part{{720, []string{vm.ReasonFetchingImage}}, {3600, []string{secretsAway}}}, 1320, 1380},
		"by turns":                      {[]part{{3600, []string{secretsAway, ""}}}, 1800, 1860},
		"very late":                     {[]part{{1500, []string{vm.ReasonFetchingImage}}, {3600, []string{secretsAway}}}, 1800, 1860},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			m := w.miner("miner0")
			a := w.tenant("tenant")
			id := w.create(a, "web-1")
			from := w.Now()
			for _, p := range c.parts {
				w.coming(id, m, p.seconds, p.reasons...)
			}
			if passed := w.Now() - from; passed < c.least || passed > c.most {
				t.Errorf("it was held for %d s, want %d to %d", passed, c.least, c.most)
			}
			if v := w.vm(id); v.Status.Miner != "" || w.billed(a) != 0 {
				t.Errorf("billed %d, and %+v", w.billed(a), v.Status)
			}
		})
	}
}

// A halt of the chain while a miner waits for secrets gives it that time anew, once.
func TestHaltOfAStalledStart(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	id := w.create(w.tenant("tenant"), "web-1")
	w.coming(id, m, 300, secretsAway)
	w.NextBlock(2 * 3600)
	from := w.Now()
	w.coming(id, m, 3600, secretsAway)
	if passed := w.Now() - from; passed < 570 || passed > 660 {
		t.Errorf("it was held for %d s after the halt", passed)
	}
}
