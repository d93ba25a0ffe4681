package ringapi

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// The judgements of a heartbeat in [Instance.Health] and [Owner.Health].
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
	Future    = "future"
	Missing   = "missing"
)

// RingOptions say how a value is to be read: under which names, and with which arithmetic.
type RingOptions struct {
	Key, Name string
	Lookup    ring.Config
	// Tokens fills in the tokens themselves.
	Tokens bool
}

// BuildRing works out the view of a ring from its value. Tombstones are left out; d is not modified or
// kept, but its token slices are shared.
func BuildRing(d *ring.Desc, o RingOptions, now time.Time) Ring {
	r := ring.New(d, o.Lookup)
	v := Ring{
		Key: o.Key, Name: o.Name, Now: now.UTC(), Hash: d.TopologyHash().String(),
		HeartbeatTimeout:  o.Lookup.HeartbeatTimeout.Seconds(),
		ReplicationFactor: r.Config().ReplicationFactor, ZoneAware: o.Lookup.ZoneAwareness,
		States: map[string]int{}, Zones: []Zone{}, Instances: []Instance{},
	}
	owners := r.Ownership()
	for n, inst := range r.Instances() {
		i := buildInstance(inst, o, now)
		i.Ownership = owners[n].Percent
		v.Instances = append(v.Instances, i)
		v.States[i.State]++
		v.Tokens += i.NumTokens
		if i.Health == Healthy {
			v.Healthy++
		}
	}
	v.Zones = sumZones(v.Instances)
	if r.TokenCount() > 0 {
		v.Write, v.Read = buildQuorum(r, ring.Write, now), buildQuorum(r, ring.Read, now)
	}
	v.Problems = ringProblems(v, d)
	return v
}

func buildInstance(inst ring.Instance, o RingOptions, now time.Time) Instance {
	i := Instance{
		ID: inst.ID, Addr: inst.Addr, Zone: inst.Zone, State: inst.State.String(),
		Health:    health(inst, o.Lookup.HeartbeatTimeout, now),
		Heartbeat: at(inst.Timestamp), Registered: at(inst.RegisteredTimestamp),
		HeartbeatAge: float64(now.Unix() - inst.Timestamp),
		ReadOnly:     inst.ReadOnly, ReadOnlyUpdated: at(inst.ReadOnlyUpdatedTimestamp),
		NumTokens: len(inst.Tokens), Versions: inst.Versions,
	}
	if o.Tokens {
		i.Tokens = inst.Tokens
	}
	return i
}

func health(inst ring.Instance, timeout time.Duration, now time.Time) string {
	switch inst.HeartbeatState(now, timeout) {
	case ring.Stale:
		return Unhealthy
	case ring.Future:
		return Future
	default:
		return Healthy
	}
}

// at turns seconds into a time; zero means unknown and becomes the zero time.
func at(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func sumZones(instances []Instance) []Zone {
	zones := []Zone{}
	for _, i := range instances {
		n, ok := slices.BinarySearchFunc(zones, i.Zone, func(z Zone, name string) int { return strings.Compare(z.Name, name) })
		if !ok {
			zones = slices.Insert(zones, n, Zone{Name: i.Zone})
		}
		zones[n].Instances++
		zones[n].Tokens += i.NumTokens
		if i.Health == Healthy {
			zones[n].Healthy++
		}
	}
	return zones
}

func buildQuorum(r *ring.Ring, op ring.Operation, now time.Time) *Quorum {
	rep := r.Quorum(op, now)
	q := &Quorum{OK: rep.OK(), Margin: rep.Worst, WholeMargin: rep.Whole, Ranges: rep.Ranges, Without: ring.Percent(rep.LostKeys())}
	for _, lost := range rep.Lost {
		q.RangesWithout += lost.Ranges
		q.Blocking = append(q.Blocking, lost.Unhealthy...)
	}
	slices.Sort(q.Blocking)
	q.Blocking = slices.Compact(q.Blocking)
	if rep.WholeErr != nil {
		q.Error = rep.WholeErr.Error()
	}
	return q
}

// ringProblems lists what needs a hand, worst first.
func ringProblems(v Ring, d *ring.Desc) []string {
	var out []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for _, q := range []struct {
		op string
		q  *Quorum
	}{{"write", v.Write}, {"read", v.Read}} {
		if q.q == nil {
			continue
		}
		add(q.q.RangesWithout > 0, "%.1f%% of the keys have no %s quorum because of %s", q.q.Without, q.op, some(q.q.Blocking))
		add(q.op == "read" && q.q.Error != "", "searches over the whole ring fail: %s", q.q.Error)
	}
	sick, future := namesBy(v.Instances, Unhealthy), namesBy(v.Instances, Future)
	add(len(future) > 0, "heartbeat in the future: %s; taken for healthy until then, dead or alive", some(future))
	add(len(sick) > 0, "no heartbeat for more than %s: %s", short(v.HeartbeatTimeout), some(sick))
	if dup := d.DuplicateTokens(); len(dup) > 0 {
		add(true, "%d tokens are held by more than one member", len(dup))
	}
	add(len(v.Instances) == 0, "the ring is empty")
	return out
}

// short prints seconds as a duration without empty units: "1m", not "1m0s".
func short(seconds float64) string {
	s := time.Duration(seconds * float64(time.Second)).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func namesBy(instances []Instance, health string) []string {
	var out []string
	for _, i := range instances {
		if i.Health == health {
			out = append(out, i.ID)
		}
	}
	return out
}

// some joins names, the first few of them.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Page is the view in the form of the ring page. The view must have been built with tokens.
func (v Ring) Page() RingPage {
	p := RingPage{
		Now: v.Now, Key: v.Key, HeartbeatTimeout: v.HeartbeatTimeout,
		ReplicationFactor: v.ReplicationFactor, ViewHash: v.Hash, Problems: v.Problems,
	}
	if v.Write != nil {
		p.WriteMargin = &v.Write.Margin
	}
	if v.Read != nil {
		p.ReadMargin = &v.Read.Margin
	}
	for _, i := range v.Instances {
		s := Shard{
			ID: i.ID, State: i.State, Address: i.Addr, Timestamp: i.Heartbeat, RegisteredTimestamp: i.Registered,
			ReadOnly: i.ReadOnly, ReadOnlyUpdatedTimestamp: i.ReadOnlyUpdated, Zone: i.Zone, Tokens: i.Tokens,
			Versions: i.Versions, StoredState: i.State, Health: i.Health, NumTokens: i.NumTokens, Ownership: i.Ownership,
		}
		if i.Health == Unhealthy {
			s.State = "UNHEALTHY"
		}
		if len(s.Tokens) == 0 {
			s.Tokens = nil
		}
		p.Shards = append(p.Shards, s)
	}
	return p
}
