package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
)

// TestOwnersTellWhatOthersChange: an owner whose partition somebody else makes INACTIVE or locks says so, once.
func TestOwnersTellWhatOthersChange(t *testing.T) {
	cfg := DefaultPartitionConfig()
	cfg.OwnerID, cfg.MinOwnersDuration = "a", time.Second
	s, d, now := steward{cfg: &cfg, create: true}, partition.NewDesc(), epoch
	look := func() (notes string) {
		now = now.Add(2 * time.Second)
		next, e, err := s.reconcile(d, now)
		if err != nil {
			t.Fatal(err)
		}
		s = next
		for _, n := range e.notes {
			notes += fmt.Sprint(noteWords[n.Kind].text, n.Args)
		}
		return notes
	}
	look()
	look()
	for _, step := range []struct {
		others func() (bool, error)
		want   string
	}{
		{func() (bool, error) { return true, nil }, ""},
		{func() (bool, error) { return partition.ChangeState(d, 0, partition.Inactive, now) }, "partition changed[state PartitionInactive was PartitionActive locked false]"},
		{func() (bool, error) { return partition.SetLock(d, 0, true, now) }, "partition changed[state PartitionInactive was PartitionInactive locked true]"},
	} {
		if changed, err := step.others(); err != nil || !changed {
			t.Fatal(changed, err)
		}
		if got := look(); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
		if again := look(); again != "" {
			t.Errorf("said again: %q", again)
		}
	}
}
