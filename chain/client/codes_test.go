package client

import (
	"testing"

	"github.com/stretchr/testify/require"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/core/vm"
)

// Each refusal of a report is put into words of its own; a code that this program does not know is named.
func TestRefusedReportsHaveWords(t *testing.T) {
	seen := map[string]Refusal{}
	for _, r := range []Refusal{UnknownVM, NotHolder, OldInstance, BadTransition, BadProof, StaleProof, BadReport, BadCharge, NoRoomOnHost, fault} {
		words := r.words()
		require.Contains(t, words, " ", r)
		require.NotContains(t, words, "/", r)
		require.Empty(t, seen[words], "%s has the words of another", r)
		seen[words] = r
	}
	require.Equal(t, "the chain refused it: mesh error 99", Refusal("mesh/99").words())
}

func TestDecodeResults(t *testing.T) {
	reports := []vm.Report{{ID: "a"}, {ID: ""}}
	decode := func(d *decoder, list []*computev1.ReportResult) []vm.ReportResult {
		return decodeResults(d, reports, list)
	}
	honest := func() []*computev1.ReportResult {
		return []*computev1.ReportResult{{VmId: "a"}, {Codespace: "compute", Code: 25}}
	}
	got, err := one("results", nil, honest(), decode)
	require.NoError(t, err)
	require.Equal(t, []vm.ReportResult{{ID: "a"}, {Code: 25, Message: UnknownVM.words()}}, got)
	for what, change := range map[string]func(list []*computev1.ReportResult) []*computev1.ReportResult{
		"too few":       func(list []*computev1.ReportResult) []*computev1.ReportResult { return list[:1] },
		"too many":      func(list []*computev1.ReportResult) []*computev1.ReportResult { return append(list, list[0]) },
		"of another VM": func(list []*computev1.ReportResult) []*computev1.ReportResult { list[0].VmId = "b"; return list },
		"a codespace's form": func(list []*computev1.ReportResult) []*computev1.ReportResult {
			list[1].Codespace = "\x1b"
			return list
		},
	} {
		_, err := one("results", nil, change(honest()), decode)
		require.ErrorIs(t, err, ErrAnswer, what)
	}
}

// What the chain gives as a reason alone, people read in words.
func TestDecodedStatusHasWords(t *testing.T) {
	v := wireVM(5)
	v.Status.Phase, v.Status.Reason, v.Status.Message = computev1.Phase_PHASE_PENDING, vm.ReasonNoCapacity, ""
	got, err := one("VM", nil, v, decodeVM)
	require.NoError(t, err)
	require.Equal(t, "it waits its turn for a miner with room for it", got.Status.Message)
}
