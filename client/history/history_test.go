package history_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/client/history"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// life makes a sequence of snapshots in which all kinds of things happen.
func life(t testing.TB, steps int, seed uint64) []*client.Snapshot {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := clienttest.Ring("ingester", 5, 32, start, "a", "b")
	p, err := clienttest.Partitions(2, start, []string{"ingester-0"}, []string{"ingester-1"})
	if err != nil {
		t.Fatal(err)
	}
	nodes := []gossip.Node{{Name: "n-0", Addr: "10.0.0.1:7946"}, {Name: "n-1", Addr: "10.0.0.2:7946", Meta: gossip.Meta{Role: gossip.RoleMember, Zone: "a"}}}
	var out []*client.Snapshot
	for step := range steps {
		now := start.Add(time.Duration(step) * 5 * time.Second)
		d, p, nodes = d.Clone(), p.Clone(), slices.Clone(nodes)
		for id := range d.Instances {
			clienttest.Edit(d, id, clienttest.Aged(now, 0))
		}
		switch rng.IntN(6) {
		case 0:
			delete(d.Instances, fmt.Sprintf("ingester-%d", rng.IntN(5)))
		case 1:
			id := fmt.Sprintf("ingester-%d", rng.IntN(7))
			clienttest.Edit(d, id, func(i *ring.Instance) { i.State, i.Timestamp = ring.State(rng.IntN(5)), now.Unix() })
		case 2:
			partition.AddOwner(p, fmt.Sprintf("ingester-%d", rng.IntN(5)), int32(rng.IntN(3)), partition.OwnerActive, now)
		case 3:
			delete(p.Owners, fmt.Sprintf("ingester-%d", rng.IntN(5)))
			delete(p.Partitions, 1)
		case 4:
			nodes[0].State = gossip.NodeState(rng.IntN(3))
		}
		v := &gossip.View{From: "10.0.0.2:7946", Nodes: nodes, Pairs: []gossip.Pair{
			{Key: "collectors/ring", Codec: ring.Codec, Value: ring.EncodeValue(d), Deleted: step%7 == 6},
			{Key: "seed", Codec: "json", Value: []byte(fmt.Sprint(step / 3))},
		}}
		if step%5 != 4 {
			v.Pairs = append(v.Pairs, gossip.Pair{Key: "collectors/ingester-partitions", Codec: partition.Codec, Value: partition.EncodeValue(p)})
		}
		out = append(out, client.Build(v, client.Options{Now: now, Mode: client.Recorded, Label: "test"}))
	}
	return out
}

func text(t testing.TB, s *client.Snapshot) string {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if strings.Contains(l, `"addr": "n-`) { // the address that was asked is not recorded
			b = []byte(strings.Replace(string(b), l+"\n", "", 1))
		}
	}
	return string(b)
}

// TestRoundTrip: what is read is what was written, whatever happened in between.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(20) {
		lived := life(t, 40, seed)
		var file bytes.Buffer
		w := history.NewWriter(&file)
		for _, s := range lived {
			if err := w.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for got, err := range history.Read(bytes.NewReader(file.Bytes()), client.Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			got.Addr = lived[n].Addr
			if text(t, got) != text(t, lived[n]) {
				t.Fatalf("seed %d, snapshot %d:\n%s\nwant\n%s", seed, n, text(t, got), text(t, lived[n]))
			}
			n++
		}
		if n != len(lived) {
			t.Fatalf("seed %d: %d snapshots of %d", seed, n, len(lived))
		}
	}
}

// TestHeartbeatsAreSmall: tokens are written once.
func TestHeartbeatsAreSmall(t *testing.T) {
	d := clienttest.Ring("ingester", 100, 512, start)
	var file bytes.Buffer
	w := history.NewWriter(&file)
	sizes := []int{}
	for step := range 3 {
		now := start.Add(time.Duration(step) * 5 * time.Second)
		d = d.Clone()
		for id := range d.Instances {
			clienttest.Edit(d, id, clienttest.Aged(now, 0))
		}
		v := &gossip.View{From: "x", Pairs: []gossip.Pair{{Key: "collectors/ring", Codec: ring.Codec, Value: ring.EncodeValue(d)}}}
		if err := w.Add(client.Build(v, client.Options{Now: now})); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, file.Len())
	}
	if per := (sizes[2] - sizes[1]) / 100; per > 40 {
		t.Errorf("%d bytes per heartbeat", per)
	}
}

// TestCutShort: a recording that ended in the middle of a line is read up to there.
func TestCutShort(t *testing.T) {
	var file bytes.Buffer
	w := history.NewWriter(&file)
	for _, s := range life(t, 5, 1) {
		if err := w.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, err := range history.Read(bytes.NewReader(file.Bytes()[:file.Len()-7]), client.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 4 {
		t.Errorf("%d snapshots, want 4", n)
	}
}

func TestNotAHistory(t *testing.T) {
	for _, s := range []string{"hello\n", "{}\n", `{"format":"ringctl-history/9"}` + "\n", `{"format":"ringctl-history/1"}` + "\n" + `{"keys":[{"key":"a","codec":"ringDesc","part":true}]}` + "\n"} {
		failed := false
		for _, err := range history.Read(strings.NewReader(s), client.Options{}) {
			failed = failed || err != nil
		}
		if !failed {
			t.Errorf("%q was read", s)
		}
	}
}

func FuzzRead(f *testing.F) {
	var file bytes.Buffer
	w := history.NewWriter(&file)
	for _, s := range life(f, 4, 1) {
		if err := w.Add(s); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(file.Bytes())
	f.Add([]byte(`{"format":"ringctl-history/1"}` + "\n" + `{"at":"2026-01-01T00:00:00Z","keys":[{"key":"k","codec":"partitionRingDesc","value":"","gone":["x"]}]}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		for _, err := range history.Read(bytes.NewReader(b), client.Options{}) {
			if n++; err != nil || n > 50 {
				break
			}
		}
	})
}
