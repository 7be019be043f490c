package agent_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/hippius/compute/core/vm"
)

// While the image is fetched, the chain is told that no guest runs; from the start on, that one does.
func TestDownloadIsNoStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	im := &w.catalogue.images[0]
	data, err := os.ReadFile(strings.TrimPrefix(im.URLs[0], "file://"))
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	mirror := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-ready:
			_, _ = rw.Write(data)
		case <-r.Context().Done():
		}
	}))
	defer mirror.Close()
	im.URLs = []string{mirror.URL + "/image"}
	w.deafMute.Store(true)
	w.startAgent()
	id := w.newVM()
	w.until("told", func() bool { return w.chain.Saw(id, "provisioning "+vm.ReasonFetchingImage) })
	if s := w.chain.Get(id).Status; s.Phase != vm.Provisioning {
		t.Errorf("it is %s", s.Phase)
	}
	w.stopAgent() // one that is started anew says the same
	w.startAgent()
	w.more("reports", 5, func() int { return len(w.chain.Batches()) })
	if w.chain.Saw(id, "provisioning ") {
		t.Fatal("a start was reported before there was an image")
	}
	close(ready)
	w.until("started", func() bool { return w.chain.Saw(id, "provisioning ") })
	if info := w.inspect(id); !info.State.Alive() {
		t.Errorf("a start was reported, and the VM is %s", info.State)
	}
	other := w.newVM() // its image is here
	w.until("started, too", func() bool { return w.chain.Saw(other, "provisioning ") })
	if w.chain.Saw(other, "provisioning "+vm.ReasonFetchingImage) {
		t.Error("an image that is here was fetched")
	}
}
