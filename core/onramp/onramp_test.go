package onramp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	good := Order{Recipient: "hip1x", Ucredit: 5, Reference: "a"}
	for name, c := range map[string]struct {
		order Order
		says  string
	}{
		"good":           {order: good},
		"at the limit":   {order: Order{Recipient: "hip1x", Ucredit: 10, Reference: strings.Repeat("a", 128)}},
		"no recipient":   {order: Order{Ucredit: 5, Reference: "a"}, says: "recipient"},
		"long recipient": {order: Order{Recipient: strings.Repeat("h", 129), Ucredit: 5, Reference: "a"}, says: "recipient"},
		"nothing":        {order: Order{Recipient: "hip1x", Reference: "a"}, says: "0 credits are ordered; accepted are 0.000001 to 0.00001"},
		"over the limit": {order: Order{Recipient: "hip1x", Ucredit: 11, Reference: "a"}, says: "accepted are"},
		"no reference":   {order: Order{Recipient: "hip1x", Ucredit: 5}, says: "reference"},
		"long reference": {order: Order{Recipient: "hip1x", Ucredit: 5, Reference: strings.Repeat("a", 129)}, says: "reference"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch err := c.order.Check(10); {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("said %v, want %q", err, c.says)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":         "",
		"no object":       `[]`,
		"unknown field":   `{"recipient":"hip1x","ucredit":1,"reference":"a","price":1}`,
		"a negative sum":  `{"recipient":"hip1x","ucredit":-1,"reference":"a"}`,
		"a broken sum":    `{"recipient":"hip1x","ucredit":0.5,"reference":"a"}`,
		"too large a sum": `{"recipient":"hip1x","ucredit":18446744073709551616,"reference":"a"}`,
		"two values":      `{"recipient":"hip1x"}{"recipient":"hip1y"}`,
		"over the bound":  `{"recipient":"` + strings.Repeat("x", MaxBody) + `"}`,
		"space over it":   `{"recipient":"hip1x"}` + strings.Repeat(" ", MaxBody) + `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o Order
			if err := Decode(strings.NewReader(body), &o); err == nil {
				// What lies beyond the bound is not read, so it cannot be refused; it must not count either.
				if len(body) <= MaxBody || o != (Order{Recipient: "hip1x"}) {
					t.Errorf("accepted as %+v", o)
				}
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"recipient":"hip1x","ucredit":10000000,"reference":"a"}`))
	f.Add([]byte(`{"tx_hash":"00","ucredit":1}`))
	f.Add([]byte(`{"recipient":"\ud800"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var o Order
		if Decode(bytes.NewReader(body), &o) != nil {
			return
		}
		again, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var back Order
		if err := Decode(bytes.NewReader(again), &back); o.Check(1<<60) == nil && (err != nil || back != o) {
			t.Errorf("%+v became %+v: %v", o, back, err)
		}
	})
}
