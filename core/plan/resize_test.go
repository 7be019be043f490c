package plan

import "testing"

func TestKeepingNeverShrinks(t *testing.T) {
	for _, from := range Defaults() {
		for _, to := range Defaults() {
			got := to.Keeping(from.DiskGiB)
			if got.DiskGiB < from.DiskGiB || got.DiskGiB < to.DiskGiB || got.DiskGiB > max(from.DiskGiB, to.DiskGiB) {
				t.Errorf("%s to %s: a disk of %d GiB", from.Name, to.Name, got.DiskGiB)
			}
			if NeedsRestart(got, to.Size) {
				t.Errorf("%s to %s: more than the disk differs: %+v", from.Name, to.Name, got)
			}
			if back := from.Keeping(got.DiskGiB); back.DiskGiB != got.DiskGiB {
				t.Errorf("%s to %s and back: a disk of %d GiB, was %d", from.Name, to.Name, back.DiskGiB, got.DiskGiB)
			}
		}
	}
}

func TestNeedsRestart(t *testing.T) {
	base := Defaults()[0]
	for what, c := range map[string]struct {
		change  func(p *Plan)
		restart bool
		same    bool
	}{
		"nothing":   {func(*Plan) {}, false, true},
		"the name":  {func(p *Plan) { p.Name, p.Order = "other", 9 }, false, true},
		"the disk":  {func(p *Plan) { p.DiskGiB++ }, false, false},
		"vCPUs":     {func(p *Plan) { p.VCPUs++ }, true, false},
		"memory":    {func(p *Plan) { p.MemoryMiB-- }, true, false},
		"IOPS":      {func(p *Plan) { p.IOPS++ }, true, false},
		"bandwidth": {func(p *Plan) { p.NetworkBitsPerSecond++ }, true, false},
		"disk rate": {func(p *Plan) { p.DiskBytesPerSecond-- }, true, false},
	} {
		to := base
		c.change(&to)
		if NeedsRestart(base.Size, to.Size) != c.restart || (base.Size == to.Size) != c.same {
			t.Errorf("%s changed: restart %v, same %v", what, NeedsRestart(base.Size, to.Size), base.Size == to.Size)
		}
	}
}
