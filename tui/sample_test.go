package tui

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/tui/scene"
)

// sample describes a made-up cluster. The same sample always gives the same
// snapshots.
type sample struct {
	now        time.Time
	members    int // ingesters, spread over zones
	zones      int
	tokens     int
	partitions int
	dead       []int // ingesters that stopped ten minutes ago
	leaving    []int
	from       int // the member whose view it is
	lag        int // ingesters this view has not heard of yet
	states     map[int32]partition.State
	locked     map[int32]bool
	healthy    bool
}

// noon is the moment of all samples that do not say otherwise.
func noon() time.Time { return time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC) }

// troubled is a cluster with something of everything.
func troubled() sample {
	return sample{now: noon(), members: 12, zones: 3, tokens: 64, partitions: 8, dead: []int{4}, leaving: []int{8},
		states: map[int32]partition.State{5: partition.Inactive, 7: partition.Pending}, locked: map[int32]bool{5: true}}
}

// calm is a cluster without a fault.
func calm() sample {
	return sample{now: noon(), members: 9, zones: 3, tokens: 64, partitions: 6, healthy: true}
}

// large is the size the dashboard must bear.
func large() sample {
	return sample{now: noon(), members: 1000, zones: 3, tokens: 512, partitions: 1000, dead: []int{17, 402}}
}

func zoneName(i, zones int) string { return "zone-" + string(rune('a'+i%zones)) }

func (s sample) id(i int) string {
	return fmt.Sprintf("ingester-%s-%d", zoneName(i, s.zones), i/s.zones)
}

func (s sample) ingesters() *ring.Desc {
	d := ring.NewDesc()
	rng := rand.New(rand.NewPCG(7, 11))
	taken := map[uint32]bool{}
	for i := range s.members - s.lag {
		in := ring.Instance{ID: s.id(i), Addr: fmt.Sprintf("10.0.%d.%d:9095", i%s.zones, 10+i/s.zones), Zone: zoneName(i, s.zones),
			Timestamp: s.now.Unix() - int64(i%9), RegisteredTimestamp: s.now.Add(-72 * time.Hour).Unix()}
		if slices.Contains(s.dead, i) {
			in.Timestamp = s.now.Add(-10 * time.Minute).Unix()
		}
		if slices.Contains(s.leaving, i) {
			in.State = ring.Leaving
		}
		for len(in.Tokens) < s.tokens {
			if t := rng.Uint32(); !taken[t] {
				taken[t] = true
				in.Tokens = append(in.Tokens, t)
			}
		}
		slices.Sort(in.Tokens)
		d.Instances[in.ID] = in
	}
	if !s.healthy {
		d.Instances["ingester-zone-b-99"] = ring.Instance{ID: "ingester-zone-b-99", State: ring.Left, Zone: "zone-b",
			Timestamp: s.now.Add(-2 * time.Minute).Unix()}
	}
	return d
}

func (s sample) workers(role string, n int) *ring.Desc {
	d := ring.NewDesc()
	for i := range n {
		id := fmt.Sprintf("%s-%d", role, i)
		d.Instances[id] = ring.Instance{ID: id, Addr: fmt.Sprintf("10.1.0.%d:9095", i+1), Zone: zoneName(i, s.zones),
			Timestamp: s.now.Unix() - 2, RegisteredTimestamp: s.now.Add(-3 * time.Hour).Unix()}
	}
	return d
}

// stores is the ring of live-stores and the partition ring they own.
func (s sample) stores() (*ring.Desc, *partition.Desc) {
	d := ring.NewDesc()
	p := &partition.Desc{Partitions: map[int32]partition.Partition{}, Owners: map[string]partition.Owner{}}
	for i := range s.partitions {
		id := int32(i)
		state := partition.Active
		if st, ok := s.states[id]; ok {
			state = st
		}
		p.Partitions[id] = partition.Partition{ID: id, State: state, StateTimestamp: s.now.Add(-time.Duration(i+1) * 37 * time.Minute).Unix(),
			Tokens:            []uint32{uint32((i<<32 + 99) / s.partitions), uint32((i<<32 + 1<<30) / s.partitions)},
			StateChangeLocked: s.locked[id], StateChangeLockedTimestamp: s.now.Add(-time.Hour).Unix() * b2i(s.locked[id])}
		for z := range 2 {
			name := fmt.Sprintf("live-store-%s-%d", zoneName(z, s.zones), i)
			in := ring.Instance{ID: name, Addr: fmt.Sprintf("10.2.%d.%d:9095", z, i%250), Zone: zoneName(z, s.zones),
				Timestamp: s.now.Unix() - 1, RegisteredTimestamp: s.now.Add(-9 * time.Hour).Unix()}
			if !s.healthy && (i == 3 && z == 1 || i == 6) {
				in.Timestamp = s.now.Add(-7 * time.Minute).Unix()
			}
			d.Instances[name] = in
			p.Owners[name] = partition.Owner{OwnedPartition: id, State: partition.OwnerActive, UpdatedTimestamp: s.now.Add(-time.Hour).Unix()}
		}
	}
	return d, p
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s sample) snapshot() *client.Snapshot {
	stores, parts := s.stores()
	v := &gossip.View{At: s.now, From: nodeAddr(s.from), Pairs: []gossip.Pair{
		{Key: "collectors/ring", Codec: ring.Codec, Value: ring.EncodeValue(s.ingesters())},
		{Key: "collectors/distributor", Codec: ring.Codec, Value: ring.EncodeValue(s.workers("distributor", 3))},
		{Key: "collectors/backend-worker", Codec: ring.Codec, Value: ring.EncodeValue(s.workers("backend-worker", 2))},
		{Key: "collectors/live-store", Codec: ring.Codec, Value: ring.EncodeValue(stores)},
		{Key: "collectors/livestore-partitions", Codec: partition.Codec, Value: partition.EncodeValue(parts)},
	}}
	if !s.healthy {
		v.Pairs = append(v.Pairs, gossip.Pair{Key: "collectors/notes", Codec: "text", Value: []byte("hello")})
	}
	for i := range min(s.members, 40) {
		n := gossip.Node{Name: s.id(i), Addr: nodeAddr(i)}
		if slices.Contains(s.dead, i) {
			n.State = gossip.NodeDead
		}
		v.Nodes = append(v.Nodes, n)
	}
	return plainWords(client.Build(v, client.Options{Now: s.now, Mode: client.Observe}))
}

// plainWords replaces the client's sentences, which are its own business and not
// what goldens of screens are about.
func plainWords(s *client.Snapshot) *client.Snapshot {
	for i := range s.Rings {
		r := &s.Rings[i]
		r.Problem, r.Problems = sentence(r.Verdict, r.Name)
	}
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		r.Problem, r.Problems = sentence(r.Verdict, r.Name)
		for j := range r.Partitions {
			r.Partitions[j].Problem, _ = sentence(r.Partitions[j].Verdict, "the partition")
		}
	}
	s.Problem, _ = sentence(s.Verdict, "the cluster")
	return s
}

func sentence(v client.Verdict, name string) (string, []string) {
	if v == client.OK {
		return "", nil
	}
	text := name + " needs a hand: some of its members have not been heard of for a while"
	return text, []string{text, "a second, lesser problem"}
}

func nodeAddr(i int) string { return "10.9.0." + strconv.Itoa(i+1) + ":7946" }

// views are the views of four members; the last lags when the sample is not
// healthy.
func (s sample) views() []*client.Snapshot {
	var out []*client.Snapshot
	for i := range 4 {
		v := s
		v.from = i
		if i == 3 && !s.healthy {
			v.lag = 1
			v.leaving = nil
		}
		out = append(out, v.snapshot())
	}
	return out
}

// later is the sample a while later.
func (s sample) later(d time.Duration) sample { s.now = s.now.Add(d); return s }

// fake is a source that shows samples and records what is done to it.
type fake struct {
	about     About
	shots     []*client.Snapshot
	fail      error
	all       []*client.Snapshot
	viewsFail error
	findings  []Finding
	hold      bool // after the last shot, wait for the context
	plan      func(Change) (*client.Plan, error)

	mu      sync.Mutex
	planned []Change
	applied []*client.Plan
}

func (f *fake) About() About {
	if f.about.Name == "" {
		return About{Name: "demo"}
	}
	return f.about
}

func (f *fake) Watch(ctx context.Context) iter.Seq2[*client.Snapshot, error] {
	return func(yield func(*client.Snapshot, error) bool) {
		for _, s := range f.shots {
			if !yield(s, nil) {
				return
			}
		}
		if f.fail != nil && !yield(nil, f.fail) {
			return
		}
		if f.hold {
			<-ctx.Done()
		}
	}
}

func (f *fake) Views(context.Context) ([]*client.Snapshot, error) { return f.all, f.viewsFail }

func (f *fake) Examine([]*client.Snapshot) []Finding { return f.findings }

func (f *fake) Plan(_ context.Context, c Change) (*client.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = append(f.planned, c)
	if f.plan != nil {
		return f.plan(c)
	}
	return samplePlan(c), nil
}

func (f *fake) Apply(ctx context.Context, p *client.Plan, report func(client.Progress)) (*client.Result, error) {
	if p.Action == client.Drain {
		return f.drain(ctx, p, report)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, p)
	report(client.Progress{Phase: "verifying", Done: 2, Total: 4})
	return &client.Result{Plan: p, Converged: 4, Total: 4, Took: client.Duration(1200 * time.Millisecond)}, nil
}

// drain is a scale-down whose owners have to be waited for ten seconds, and then leave within ten more.
func (f *fake) drain(ctx context.Context, p *client.Plan, report func(client.Progress)) (*client.Result, error) {
	f.mu.Lock()
	f.applied = append(f.applied, p)
	f.mu.Unlock()
	made := func(a client.Action) *client.Result {
		return &client.Result{Plan: &client.Plan{Action: a}, Converged: 4, Total: 4}
	}
	start := time.Now()
	s := &client.DrainStatus{Ring: p.Ring, Partition: 1, State: "INACTIVE", Since: start, QuietAt: start.Add(10 * time.Second), Steps: []client.DrainStep{
		{Stage: client.DrainDeactivate, Done: true, Text: "INACTIVE in 4 of 4 views since " + start.UTC().Format(time.RFC3339)},
		{Stage: client.DrainQuiet, Text: "queries may need its owners for another 10s"},
		{Stage: client.DrainOwners, Text: "stop them for good, so that they leave: live-store-zone-a-1, live-store-zone-b-1"},
		{Stage: client.DrainRemove, Text: "not safe yet"},
	}}
	report(client.Progress{Phase: "made", Done: 4, Total: 4, Drain: s, Made: made(client.Deactivate)})
	report(client.Progress{Phase: "waiting", Drain: s})
	for _, done := range []int{1, 2} {
		select {
		case <-time.After(10 * time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		next := *s
		next.Steps = slices.Clone(s.Steps)
		next.Steps[done].Done = true
		s = &next
		report(client.Progress{Phase: "waiting", Drain: s})
	}
	report(client.Progress{Phase: "verifying", Done: 2, Total: 4, Drain: s})
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	report(client.Progress{Phase: "made", Done: 4, Total: 4, Drain: s, Made: made(client.RemovePartition)})
	return &client.Result{Plan: p, Converged: 4, Total: 4, Took: client.Duration(time.Since(start))}, nil
}

func (f *fake) changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.applied)
}

func samplePlan(c Change) *client.Plan {
	p := &client.Plan{Action: c.Action, Key: c.Ring, Ring: "ingester", Danger: client.Moderate,
		Views:  []string{"ingester-zone-a-0", "ingester-zone-b-0", "ingester-zone-c-0"},
		Effect: "write quorum ok +0 -> ok +1, read quorum ok +0 -> ok +1", // the check below says so, once is enough
		Checks: []client.Check{
			{Name: "heartbeat", Level: client.Pass, Text: "last seen 10m ago in every view, timeout 5m"},
			{Name: "quorum", Level: client.Pass, Text: "write quorum ok +0 -> ok +1, read quorum ok +0 -> ok +1"},
			{Name: "tombstone", Level: client.Warn, Text: "a member that was cut off for longer than 5m could bring the entry back"},
		}}
	for _, id := range c.IDs {
		p.Steps = append(p.Steps, client.Step{ID: id, Before: "ACTIVE, unhealthy for 10m", After: "LEFT"})
	}
	if c.Action == client.Drain {
		p.Danger, p.Confirm, p.Effect = client.Severe, c.IDs[0], "deactivate -> wait 1h -> its owners leave -> remove"
		p.Steps[0].Before, p.Steps[0].After = "ACTIVE since 11:00:00", "removed"
		p.Checks = []client.Check{
			{Name: "active", Level: client.Pass, Text: "5 ACTIVE partitions left, to which new data of this one goes"},
			{Name: "data", Level: client.Warn, Text: "none of its owners is asked whether blocks hold its data: only the time is waited for"},
		}
		return p
	}
	if len(c.IDs) > 1 || c.Action == client.RemovePartition {
		p.Danger, p.Confirm = client.Severe, "remove "+strconv.Itoa(len(c.IDs))
	}
	return p
}

func sampleFindings() []Finding {
	return []Finding{
		{Rule: "instance-unhealthy", Severity: client.Warning, Ring: "ingester", Subject: "ingester-zone-b-1",
			Cause:    "the instance has not sent a heartbeat for 10m00s and still owns 8.1% of zone-b",
			Evidence: []string{"last heartbeat 11:50:00, timeout 5m0s, in 4 of 4 views", "its gossip member is dead in 4 of 4 views"},
			Fix:      "ringctl forget ingester ingester-zone-b-1"},
		{Rule: "partition-unowned", Severity: client.Critical, Ring: "livestore-partitions", Subject: "6",
			Cause:    "the active partition has no healthy owner: what is written to it cannot be read",
			Evidence: []string{"owners live-store-zone-a-6 and live-store-zone-b-6 are unhealthy for 7m00s"},
			Fix:      "ringctl partition deactivate 6"},
	}
}

var errOutOfReach = errors.New("pull 10.9.0.1:7946: connection refused")

func (s sample) clock() time.Time { return s.now }

func build(s *client.Snapshot, m *Model) *scene.Scene { return scene.Build(s, m.live) }

func imagine(s *client.Snapshot, gone map[string]bool) *scene.Impact {
	return scene.Imagine(scene.Build(s, nil), "collectors/ring", gone)
}
