package document_test

import (
	"strings"
	"testing"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

// TestRingMapLinesUp: the key spaces of zones are below each other, however long their names are.
func TestRingMapLinesUp(t *testing.T) {
	r := &client.Ring{
		Zones: []client.Zone{{Name: "a"}, {Name: "europe-west1-b"}},
		Instances: []client.Instance{
			{ID: "m-0", Zone: "a", Tokens: 1, TokenValues: []uint32{1 << 31}},
			{ID: "m-1", Zone: "europe-west1-b", Tokens: 1, TokenValues: []uint32{7}},
		},
	}
	const want = `a              |00000000|
                0 m-0
europe-west1-b |00000000|
                0 m-1
`
	if got := document.DrawRing(r, 8); strings.TrimPrefix(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
