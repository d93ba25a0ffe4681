package gossip

import (
	"testing"
	"time"
)

func TestRecent(t *testing.T) {
	r := newRecent()
	began := time.Unix(1000, 0)
	for _, step := range []struct {
		msg   string
		after time.Duration
		again bool
	}{
		{"a", 0, false}, {"b", 0, false}, {"a", 0, true}, {"a", recentFor/2 - 1, true},
		{"a", recentFor / 2, true}, {"c", recentFor / 2, false}, {"a", recentFor - 1, true},
		{"a", recentFor, false}, {"c", recentFor, true},
		{"a", 3 * recentFor, false}, {"c", 3 * recentFor, false}, {"c", 3 * recentFor, true},
	} {
		if got := r.again([]byte(step.msg), began.Add(step.after)); got != step.again {
			t.Errorf("%s after %s: again %v", step.msg, step.after, got)
		}
	}
}
