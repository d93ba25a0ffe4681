package document_test

import (
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
)

// TestTimeouts names the usual timeout first, and the rings that have another.
func TestTimeouts(t *testing.T) {
	minute, five := client.Duration(time.Minute), client.Duration(5*time.Minute)
	for want, rings := range map[string][]client.Ring{
		"":                     nil,
		"heartbeat timeout 1m": {{Name: "a", HeartbeatTimeout: minute}, {Name: "b", HeartbeatTimeout: minute}},
		"heartbeat timeout 1m (5m for ingester, 10s for x)": {{Name: "a", HeartbeatTimeout: minute}, {Name: "ingester", HeartbeatTimeout: five},
			{Name: "b", HeartbeatTimeout: minute}, {Name: "x", HeartbeatTimeout: client.Duration(10 * time.Second)}},
	} {
		if got := document.Timeouts(&client.Snapshot{Rings: rings}); got != want {
			t.Errorf("%d rings: %q, want %q", len(rings), got, want)
		}
	}
}
