package scene

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/ring"
)

// randomRing is a ring as the client shows it, and the same as nodes hold it.
func randomRing(seed uint64, now time.Time) (*client.Ring, *ring.Ring) {
	rng := rand.New(rand.NewPCG(seed, 5))
	zones := rng.IntN(4)
	r := &client.Ring{Key: "k", ReplicationFactor: 1 + rng.IntN(4), ZoneAware: zones > 0 && rng.IntN(2) == 0, Hash: fmt.Sprint(seed)}
	d := ring.NewDesc()
	for i := range 1 + rng.IntN(9) {
		in := ring.Instance{ID: fmt.Sprintf("i-%d", i), Timestamp: now.Unix(), State: ring.State(rng.IntN(4))}
		if rng.IntN(3) > 0 {
			in.State = ring.Active
		}
		if zones > 0 {
			in.Zone = fmt.Sprintf("z%d", rng.IntN(zones))
		}
		if rng.IntN(4) == 0 {
			in.Timestamp = now.Add(-time.Hour).Unix()
		}
		for range rng.IntN(6) {
			in.Tokens = append(in.Tokens, rng.Uint32())
		}
		slices.Sort(in.Tokens)
		d.Instances[in.ID] = in
		r.Instances = append(r.Instances, client.Instance{ID: in.ID, Zone: in.Zone, State: in.State.String(), TokenValues: in.Tokens,
			Tokens: len(in.Tokens), CountsForWrite: in.IsHealthy(ring.Write, time.Minute, now)})
		if !slices.ContainsFunc(r.Zones, func(z client.Zone) bool { return z.Name == in.Zone }) {
			r.Zones = append(r.Zones, client.Zone{Name: in.Zone})
		}
		r.Tokens += len(in.Tokens)
	}
	slices.SortFunc(r.Zones, func(a, b client.Zone) int { return strings.Compare(a.Name, b.Name) })
	return r, ring.New(d, ring.Config{ReplicationFactor: r.ReplicationFactor, ZoneAwareness: r.ZoneAware, HeartbeatTimeout: time.Minute})
}

// TestMapTellsWhatTheRingDoes compares every slot of a drawing with a write to
// that key.
func TestMapTellsWhatTheRingDoes(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for seed := range uint64(200) {
		r, live := randomRing(seed, now)
		m := buildMap(r, nil)
		if (m == nil) != (r.Tokens == 0) {
			t.Fatalf("seed %d: map %v for %d tokens", seed, m, r.Tokens)
		}
		for slot := 0; m != nil && slot < Slots; slot += 7 {
			set, err := live.Get(SlotKey(slot), ring.Write, now, nil)
			arc, margin := m.Explain(slot), int(m.Points[slot].Margin)
			if arc.Margin() != margin {
				t.Fatalf("seed %d slot %d: explained %d, drawn %d", seed, slot, arc.Margin(), margin)
			}
			var few *ring.NotEnoughError
			switch {
			case err == nil && margin != set.MaxErrors:
				t.Fatalf("seed %d slot %d: margin %d, a write may lose %d", seed, slot, margin, set.MaxErrors)
			case errors.As(err, &few) && margin != few.Live-few.Need:
				t.Fatalf("seed %d slot %d: margin %d, a write has %d of %d", seed, slot, margin, few.Live, few.Need)
			}
			if owner := live.Owner(arc.Key).ID; r.Instances[arc.Owner].ID != owner {
				t.Fatalf("seed %d slot %d: owner %s, want %s", seed, slot, r.Instances[arc.Owner].ID, owner)
			}
			if arc.Key-arc.First > arc.Last-arc.First {
				t.Fatalf("seed %d slot %d: key %x outside of arc %x-%x", seed, slot, arc.Key, arc.First, arc.Last)
			}
		}
	}
}

// TestMapIsTakenOver makes the drawing anew only when it would be another.
func TestMapIsTakenOver(t *testing.T) {
	r, _ := randomRing(3, time.Unix(1e9, 0))
	first := buildMap(r, nil)
	if again := buildMap(r, first); again != first {
		t.Error("the same ring was drawn twice")
	}
	changed := *r
	changed.Instances = slices.Clone(r.Instances)
	changed.Instances[0].CountsForWrite = !changed.Instances[0].CountsForWrite
	if again := buildMap(&changed, first); again == first {
		t.Error("a change of health was not drawn")
	}
}

func TestNextWeak(t *testing.T) {
	m := &Map{}
	for i := range m.Points {
		m.Points[i].Margin = 1
	}
	if got := m.NextWeak(5, true); got != 5 {
		t.Errorf("nothing is weak, but slot %d is next", got)
	}
	m.Points[100].Margin = 0
	m.Points[300].Margin = -1
	for _, x := range []struct {
		from    int
		forward bool
		want    int
	}{{5, true, 300}, {5, false, 300}, {300, true, 100}, {299, true, 300}} {
		if got := m.NextWeak(x.from, x.forward); got != x.want {
			t.Errorf("from %d: %d, want %d", x.from, got, x.want)
		}
	}
}

func TestFeedCalmsStorms(t *testing.T) {
	var f Feed
	at := time.Unix(1_000_000, 0)
	ev := func(after time.Duration, kind client.EventKind, id, to string) client.Event {
		return client.Event{At: at.Add(after), Kind: kind, Key: "collectors/ring", ID: id, From: "healthy", To: to, Bad: to == "unhealthy"}
	}
	var storm []client.Event
	for i := range 50 {
		storm = append(storm, ev(0, client.InstanceHealth, fmt.Sprintf("i-%02d", i), "unhealthy"))
	}
	f.Add(storm)
	f.Add([]client.Event{ev(time.Second, client.InstanceHealth, "i-50", "unhealthy"), ev(time.Second, client.InstanceJoined, "new", "ACTIVE")})
	f.Add([]client.Event{ev(5*time.Second, client.InstanceHealth, "i-00", "healthy")})
	f.Add([]client.Event{ev(6*time.Second, client.InstanceHealth, "i-51", "unhealthy")})
	var got []string
	for i := range f.Entries {
		e := &f.Entries[i]
		got = append(got, fmt.Sprintf("%s %d: %s", e.To, e.Count, e.Subject()))
	}
	for i := range 6 {
		kind := client.Event{At: at.Add(time.Duration(20+i) * time.Second), Kind: client.PartitionState, Key: "p", ID: "2", From: "ACTIVE", To: "INACTIVE"}
		if i%2 == 1 {
			kind.From, kind.To = kind.To, kind.From
		}
		f.Add([]client.Event{kind})
	}
	if e := f.Entries[len(f.Entries)-1]; !e.Flapping || e.Count != 6 || len(f.Entries) != 5 {
		t.Errorf("a flapping partition is %+v of %d entries", e, len(f.Entries))
	}
	want := []string{
		"unhealthy 51: i-00, i-01 and 49 more",
		"ACTIVE 1: new",
		"healthy 1: i-00",
		"unhealthy 1: i-51",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	sum := 0
	for _, n := range f.Flaps(at.Add(30*time.Second), 12) {
		sum += n
	}
	if sum != 53+6 || f.Total != sum {
		t.Errorf("%d flaps counted, %d in all, want 59", sum, f.Total)
	}
	if flaps := f.Flaps(at.Add(24*time.Hour), 50); slices.Max(flaps) != 0 || len(flaps) != 50 {
		t.Errorf("a day later %d flaps are left in %d slots", slices.Max(flaps), len(flaps))
	}
	f.Add([]client.Event{ev(48*time.Hour, client.InstanceHealth, "i-00", "unhealthy"), ev(47*time.Hour, client.InstanceHealth, "i-01", "unhealthy")})
	if flaps := f.Flaps(at.Add(48*time.Hour), 3); flaps[2] != 1 || len(f.flaps) > flapSlots {
		t.Errorf("two days later the slots are %v of %d", flaps, len(f.flaps))
	}
}

func TestFeedIsBounded(t *testing.T) {
	var f Feed
	for i := range 3 * feedMax {
		f.Say(time.Unix(int64(i), 0), false, fmt.Sprint(i))
	}
	if len(f.Entries) > feedMax || f.Entries[len(f.Entries)-1].Note != fmt.Sprint(3*feedMax-1) || f.Dropped+len(f.Entries) != 3*feedMax {
		t.Errorf("%d entries, %d dropped, last %q", len(f.Entries), f.Dropped, f.Entries[len(f.Entries)-1].Note)
	}
}

func TestHistory(t *testing.T) {
	h := History{Budget: 1000}
	shot := func(i int) *client.Snapshot {
		return &client.Snapshot{At: time.Unix(int64(i), 0), Members: make([]client.Member, 10)}
	}
	h.Add(shot(0), true)
	h.Add(shot(1), false)
	h.Add(shot(2), true)
	if h.Len() != 2 || h.At(0).At.Unix() != 1 || h.At(1).At.Unix() != 2 {
		t.Errorf("%d steps; a stretch without change is one step, at its newest moment", h.Len())
	}
	for i := range 100 {
		h.Add(shot(3+i), true)
	}
	if h.Len() > 5 || h.At(h.Len()-1).At.Unix() != 102 {
		t.Errorf("%d steps are kept in a budget for four", h.Len())
	}
}

func TestFilter(t *testing.T) {
	row := []Field{{"id", "ingester-zone-a-3"}, {"zone", "zone-a"}, {"state", "ACTIVE"}, {"addr", "10.0.0.3:9095"}}
	for text, want := range map[string]bool{
		"": true, "zone-a": true, "ZONE-A": true, "zone:a": true, "zone:b": false, "!active": false, "!state:leav": true,
		"ingester active": true, "ingester leaving": false, "10.0.0.3:9095": true, "id:zone-a": true, "state:zone": false, "!": true, "  ": true,
	} {
		if got := ParseFilter(text).Match(row...); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
}

// FuzzFilter parses anything; a filter and its opposite never agree.
func FuzzFilter(f *testing.F) {
	f.Add("zone:a", "zone-a")
	f.Add("!x", "y")
	f.Fuzz(func(t *testing.T, text, value string) {
		row := []Field{{Name: "id", Value: value}}
		ParseFilter(text).Match(row...)
		words := strings.Fields(text)
		if len(words) != 1 || strings.ContainsAny(words[0], "!:") {
			return
		}
		if ParseFilter(words[0]).Match(row...) == ParseFilter("!"+words[0]).Match(row...) {
			t.Fatalf("%q and its opposite agree on %q", text, value)
		}
	})
}
