package node

import (
	"strings"
	"testing"
)

func threeKeepers() Committee {
	return Committee{Epoch: 1, Threshold: 4, Keepers: []Keeper{
		{Name: "a", Identity: []byte{1}, Shares: 1}, {Name: "b", Identity: []byte{2}, Shares: 3}, {Name: "c", Identity: []byte{3}, Shares: 2},
	}}
}

func TestHolder(t *testing.T) {
	c := threeKeepers()
	for id, first := range map[byte]int{1: 1, 2: 2, 3: 5} {
		if k, got, ok := c.Holder([]byte{id}); !ok || got != first || k.Identity[0] != id {
			t.Errorf("keeper %d: first %d, %v", id, got, ok)
		}
	}
	if _, _, ok := c.Holder([]byte{4}); ok || c.Shares() != 6 {
		t.Errorf("%d shares, and a stranger is a member: %v", c.Shares(), ok)
	}
}

func TestTakesDeals(t *testing.T) {
	c := threeKeepers()
	if !c.TakesDeals(1 << 40) {
		t.Error("the present committee takes no deals")
	}
	c.DealsUntil = 100
	if !c.TakesDeals(99) || c.TakesDeals(100) {
		t.Error("a former one takes deals up to its time, exclusive")
	}
}

func TestValidCommittee(t *testing.T) {
	for _, c := range []Committee{threeKeepers(), {}, {Threshold: 1, Keepers: []Keeper{{Shares: 1}}}} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
	for want, change := range map[string]func(*Committee){
		"listed twice":        func(c *Committee) { c.Keepers[2].Identity = c.Keepers[0].Identity },
		"\"a\" has 0 shares":  func(c *Committee) { c.Keepers[0].Shares = 0 },
		"\"a\" has -1 shares": func(c *Committee) { c.Keepers[0].Shares = -1 },
		"\"a\" has 64 shares": func(c *Committee) { c.Keepers[0].Shares = 64 },
		"44 of 65 shares":     func(c *Committee) { c.Keepers[0].Shares, c.Threshold = 60, 44 },
		"3 of 6 shares":       func(c *Committee) { c.Threshold = 3 },
		"5 of 6 shares":       func(c *Committee) { c.Threshold = 5 },
		"has 24 keepers; at most": func(c *Committee) {
			for i := range 21 {
				c.Keepers = append(c.Keepers, Keeper{Identity: []byte{9, byte(i)}, Shares: 1})
			}
		},
	} {
		c := threeKeepers()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
