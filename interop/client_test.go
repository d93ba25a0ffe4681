package interop

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

// TestForgetAtDskit lets the client forget instances of a cluster that is all dskit: a dead one, but neither a living
// one nor anything with a clock that is wrong, and it leaves all other entries and the key itself as they are.
func TestForgetAtDskit(t *testing.T) {
	p := startPeer(t)
	seeds := []string{p.ask(t, request{Op: "start", Node: "d1", Label: "c"}).Addr}
	for _, name := range []string{"d2", "d3"} {
		seeds = append(seeds, p.ask(t, request{Op: "start", Node: name, Label: "c", Join: seeds[:1]}).Addr)
	}
	tell := func(id string, age time.Duration, token uint32) {
		t.Helper()
		at := time.Now().Add(-age).Unix()
		d := ring.NewDesc()
		d.Instances[id] = ring.Instance{ID: id, Addr: "10.0.0.1:9095", Timestamp: at, RegisteredTimestamp: at, Tokens: []uint32{token}}
		for _, addr := range seeds {
			if err := (gossip.Dialer{Label: "c"}).Send(t.Context(), addr, gossip.Pair{Key: ringKey, Codec: ring.Codec, Value: ring.EncodeValue(d)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, id := range []string{"alive-0", "alive-1", "alive-2", "alive-3"} {
		tell(id, 0, uint32(i+1)<<28)
	}
	tell("dead", time.Hour, 1<<31)
	eventually(t, "dskit knows all", func() bool {
		return !slices.ContainsFunc([]string{"d1", "d2", "d3"}, func(n string) bool {
			return len(p.ask(t, request{Op: "ring", Node: n, Ring: ringKey}).Instances) != 5
		})
	})

	forget := func(ahead time.Duration, id string) (*client.Result, error) {
		tell("alive-1", 0, 2<<28) // heartbeats go on, however slow this machine is
		return forgetAt(t, seeds, ahead, id)
	}
	for _, wrong := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		_, err := forget(wrong, "dead")
		if client.CodeOf(err) != client.CodeRefused || !strings.Contains(err.Error(), "clock") {
			t.Errorf("with a clock that is %s wrong: %v", wrong, err)
		}
	}
	if _, err := forget(0, "alive-0"); client.CodeOf(err) != client.CodeRefused {
		t.Errorf("a living one: %v", err)
	}
	res, err := forget(0, "dead")
	if err != nil || res.Converged != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	for _, addr := range seeds {
		view, err := (gossip.Dialer{Label: "c"}).Pull(t.Context(), addr)
		if err != nil || len(view.Pairs) != 1 || view.Pairs[0].Deleted {
			t.Fatalf("%s: %+v, %v", addr, view, err)
		}
		d, err := ring.DecodeValue(view.Pairs[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		if e := d.Instances["dead"]; e.State != ring.Left || len(e.Tokens) != 0 || time.Since(time.Unix(e.Timestamp, 0)) > time.Minute {
			t.Errorf("%s holds %+v, not a fresh tombstone", addr, e)
		}
		if len(d.Instances) != 5 || d.Instances["alive-3"].State != ring.Active {
			t.Errorf("%s: other entries were touched: %v", addr, d.Instances)
		}
	}
}

func forgetAt(t *testing.T, seeds []string, ahead time.Duration, id string) (*client.Result, error) {
	t.Helper()
	c, err := client.New(client.Config{Seeds: seeds, Label: "c", Now: func() time.Time { return time.Now().Add(ahead) }})
	if err != nil {
		t.Fatal(err)
	}
	return c.Forget(t.Context(), client.ForgetRequest{Ring: "ingester", IDs: []string{id}}, false)
}

// TestWatchIsGentle: each look costs the member a copy of its whole state, so however short a pause is asked for, a
// watcher looks once a second at most.
func TestWatchIsGentle(t *testing.T) {
	p := startPeer(t)
	addr := p.ask(t, request{Op: "start", Node: "d1", Label: "c"}).Addr
	c, err := client.New(client.Config{Seeds: []string{addr}, Label: "c", Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	began, looks := time.Now(), 0
	for _, err := range c.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if looks++; looks == 3 {
			break
		}
	}
	if took := time.Since(began); took < 1900*time.Millisecond {
		t.Errorf("three looks within %s", took)
	}
}
