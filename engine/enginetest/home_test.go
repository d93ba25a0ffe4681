package enginetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
)

// TestFirstPageLinksToWhatExists follows every link of the first page.
func TestFirstPageLinksToWhatExists(t *testing.T) {
	n := single(t, t.TempDir(), "")
	n.launch()
	n.ready()
	code, body, err := n.get("/?format=json")
	if err != nil || code != http.StatusOK {
		t.Fatalf("%d %v", code, err)
	}
	var home struct {
		Ready bool
		Facts map[string]string
		Links []struct{ Path, Title string }
	}
	if err := json.Unmarshal([]byte(body), &home); err != nil {
		t.Fatal(err)
	}
	if !home.Ready || home.Facts["target"] != "all" || home.Facts["otlp-http"] != n.addr("otlp-http") {
		t.Errorf("%+v", home)
	}
	var paths []string
	for _, l := range home.Links {
		paths = append(paths, l.Path)
		if code, body, err := n.get(l.Path); err != nil || code != http.StatusOK {
			t.Errorf("%s (%s): %d %s (%v)", l.Path, l.Title, code, body, err)
		}
	}
	for _, want := range []string{"/ingester/ring", "/partition-ring", "/memberlist", "/metrics", "/api/search"} {
		if !slices.Contains(paths, want) {
			t.Errorf("no link to %s", want)
		}
	}
	if code, _, err := n.get("/nothing"); err != nil || code != http.StatusNotFound {
		t.Errorf("an unknown path: %d (%v)", code, err)
	}
}
