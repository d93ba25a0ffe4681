package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/engine/ring"
)

// WhatIf is a question about one instance ring. The parts are applied in the order of the fields.
type WhatIf struct {
	// Ring is the key or short name.
	Ring string
	// Lose are instances that stop answering, LoseZones whole zones; their entries stay.
	Lose      []string
	LoseZones []string
	// Remove are instances whose entries are removed.
	Remove []string
	// Add is a number of new instances, ReplicationFactor another factor, Tokens another number of tokens for all.
	Add               int
	ReplicationFactor int
	Tokens            int
}

// Simulation compares a ring before and after.
type Simulation struct {
	Ring   string  `json:"ring"`
	Key    string  `json:"key"`
	Before Outcome `json:"before"`
	After  Outcome `json:"after"`
	// Moved is the share of all replicas that would live somewhere else, in percent; a member that only stops moves none.
	Moved float64 `json:"movedPercent"`
	// Loads is how the shares of the instances change, where they do.
	Loads []Load `json:"loads,omitempty"`
	// LostPartitions have a healthy owner before, and none after.
	LostPartitions []LostPartition `json:"lostPartitions,omitempty"`
	// OK is true when every quorum that stood before still stands and no partition is lost.
	OK bool `json:"ok"`
}

// Outcome is one side of a simulation.
type Outcome struct {
	Instances         int     `json:"instances"`
	Healthy           int     `json:"healthy"`
	ReplicationFactor int     `json:"replicationFactor"`
	Write             *Quorum `json:"write,omitempty"`
	Read              *Quorum `json:"read,omitempty"`
	Spread            Spread  `json:"ownership"`
}

// Load is how one instance's share changes.
type Load struct {
	ID     string  `json:"id"`
	Zone   string  `json:"zone,omitempty"`
	Before float64 `json:"beforePercent"`
	After  float64 `json:"afterPercent"`
}

// LostPartition is a partition that nobody can be asked about.
type LostPartition struct {
	Ring  string `json:"ring"`
	ID    int32  `json:"id"`
	State string `json:"state"`
}

// Simulate answers a what-if question. It looks at the snapshot alone and changes nothing.
func (s *Snapshot) Simulate(w WhatIf) (*Simulation, error) {
	r, ok := s.Ring(w.Ring)
	if !ok {
		return nil, NotFound("ring", w.Ring, s.ringNames())
	}
	lose, err := r.resolve(w.Lose, w.LoseZones)
	if err != nil {
		return nil, err
	}
	if _, err := r.resolve(w.Remove, nil); err != nil {
		return nil, err
	}
	before := s.Lookups(r)
	after := before
	if len(lose) > 0 {
		after = after.Down(lose...)
	}
	if len(w.Remove) > 0 {
		after = after.Without(w.Remove...)
	}
	if w.Add > 0 {
		after = after.WithNew(w.Add, tokensPerInstance(r), s.At)
	}
	if w.ReplicationFactor > 0 {
		after = after.WithReplicationFactor(w.ReplicationFactor)
	}
	if w.Tokens > 0 {
		after = after.WithTokens(w.Tokens)
	}
	sim := &Simulation{Ring: r.Name, Key: r.Key, Before: s.outcome(r, before), After: s.outcome(r, after)}
	if before.TokenCount() > 0 && (len(w.Remove) > 0 || w.Add > 0 || w.ReplicationFactor > 0 || w.Tokens > 0) {
		sim.Moved = ring.MovedKeys(before, after).Replicas * 100
		sim.Loads = loads(before, after)
	}
	sim.LostPartitions = s.partitionsWithout(r.Key, append(slices.Clone(lose), w.Remove...))
	sim.OK = stillOK(sim.Before.Write, sim.After.Write) && stillOK(sim.Before.Read, sim.After.Read) &&
		len(sim.LostPartitions) == 0 && (sim.After.Healthy > 0 || sim.Before.Healthy == 0)
	return sim, nil
}

func stillOK(before, after *Quorum) bool {
	return before == nil || !before.OK || after != nil && after.OK
}

// Lookups is the ring as its readers have it.
func (s *Snapshot) Lookups(r *Ring) *ring.Ring {
	return ring.New(s.contents.rings[r.Key], s.contents.configs[r.Key])
}

func (s *Snapshot) ringNames() []string {
	out := make([]string, len(s.Rings))
	for i := range s.Rings {
		out[i] = s.Rings[i].Name
	}
	return out
}

// resolve checks that ids and zones exist and returns all ids, sorted and without repetition.
func (r *Ring) resolve(ids, zones []string) ([]string, error) {
	var known []string
	for i := range r.Instances {
		known = append(known, r.Instances[i].ID)
	}
	var out []string
	for _, id := range ids {
		if _, ok := r.Instance(id); !ok {
			return nil, NotFound("member", id, known)
		}
		out = append(out, id)
	}
	for _, z := range zones {
		n := len(out)
		for i := range r.Instances {
			if r.Instances[i].Zone == z {
				out = append(out, r.Instances[i].ID)
			}
		}
		if len(out) == n {
			var names []string
			for _, zone := range r.Zones {
				names = append(names, zone.Name)
			}
			return nil, NotFound("zone", z, names)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// tokensPerInstance is the most common number of tokens, 512 in an empty ring.
func tokensPerInstance(r *Ring) int {
	count := map[int]int{}
	best := 0
	for i := range r.Instances {
		n := r.Instances[i].Tokens
		count[n]++
		if n > 0 && (count[n] > count[best] || count[n] == count[best] && n > best || best == 0) {
			best = n
		}
	}
	if best == 0 {
		return 512
	}
	return best
}

func (s *Snapshot) outcome(r *Ring, built *ring.Ring) Outcome {
	o := Outcome{Instances: len(built.Instances()), ReplicationFactor: built.Config().ReplicationFactor}
	timeout := built.Config().HeartbeatTimeout
	for i := range built.Instances() {
		if HealthOf(&built.Instances()[i], s.At, timeout) == Healthy {
			o.Healthy++
		}
	}
	if !r.Stateless && built.TokenCount() > 0 {
		o.Write, o.Read = QuorumOf(built, ring.Write, s.At), QuorumOf(built, ring.Read, s.At)
	}
	byZone := map[string][]float64{}
	var all []float64
	for _, w := range built.Ownership() {
		if w.Tokens > 0 {
			byZone[w.Zone] = append(byZone[w.Zone], w.Percent)
			all = append(all, w.Percent)
		}
	}
	o.Spread = spreadOf(all)
	if len(byZone) > 1 {
		o.Spread.MaxOverMean = 0
	}
	for _, shares := range byZone {
		o.Spread.MaxOverMean = max(o.Spread.MaxOverMean, spreadOf(shares).MaxOverMean)
	}
	return o
}

func loads(before, after *ring.Ring) []Load {
	byID := map[string]*Load{}
	for _, o := range before.Ownership() {
		byID[o.ID] = &Load{ID: o.ID, Zone: o.Zone, Before: rounded(o.Percent)}
	}
	for _, o := range after.Ownership() {
		l := byID[o.ID]
		if l == nil {
			l = &Load{ID: o.ID, Zone: o.Zone}
			byID[o.ID] = l
		}
		l.After = rounded(o.Percent)
	}
	out := make([]Load, 0, len(byID))
	for _, l := range byID {
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Load) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// partitionsWithout lists the partitions that have a readable owner now, and none without the instances.
func (s *Snapshot) partitionsWithout(key string, ids []string) []LostPartition {
	var out []LostPartition
	for i := range s.PartitionRings {
		r := &s.PartitionRings[i]
		if r.InstanceRing != key {
			continue
		}
		for j := range r.Partitions {
			p := &r.Partitions[j]
			left := 0
			for k := range p.Owners {
				if p.Owners[k].Readable() && !slices.Contains(ids, p.Owners[k].Instance) {
					left++
				}
			}
			if p.HealthyOwners > 0 && left == 0 {
				out = append(out, LostPartition{Ring: r.Name, ID: p.ID, State: p.State})
			}
		}
	}
	return out
}

// StopRequest asks whether instances may stop together.
type StopRequest struct {
	// Ring limits the question to one ring; "" asks all rings in which an instance is a member.
	Ring string
	IDs  []string
	// Zones adds all instances of zones; it needs Ring.
	Zones []string
	// Max bounds the size of the batch that is looked for; zero is no bound.
	Max int
}

// StopAnswer is the answer to a [StopRequest].
type StopAnswer struct {
	OK bool `json:"ok"`
	// Asked are the instances in question, sorted.
	Asked []string `json:"asked"`
	// Reasons say why not, one for each ring and view that objects; empty when OK.
	Reasons []StopReason `json:"reasons,omitempty"`
	// Batch is a largest set of the asked instances that may stop together; with more than a dozen candidates it
	// cannot be extended, but a larger one may exist.
	Batch []string `json:"batch"`
	// Rings and Views were looked at.
	Rings []string `json:"rings"`
	Views []string `json:"views"`
}

// StopReason is one objection.
type StopReason struct {
	View string `json:"view"`
	Ring string `json:"ring"`
	Text string `json:"text"`
}

// CanStop decides on all views whether the instances may stop at the same time without any key losing its write or
// read quorum and any partition its last healthy owner. It is a judgement of this moment: ask again right before
// acting. A ring that has no quorum already is a no.
func CanStop(views []*Snapshot, req StopRequest) (*StopAnswer, error) {
	if len(views) == 0 {
		return nil, Fail(CodeNoView, "can-stop", "", "there is no view to decide on")
	}
	judges, asked, err := stopJudges(views, req)
	if err != nil {
		return nil, err
	}
	a := &StopAnswer{Asked: asked, Batch: []string{}}
	for _, v := range views {
		a.Views = append(a.Views, v.From)
	}
	for _, j := range judges {
		if !slices.Contains(a.Rings, j.ring.Name) {
			a.Rings = append(a.Rings, j.ring.Name)
		}
		if text := j.objection(asked); text != "" {
			a.Reasons = append(a.Reasons, StopReason{View: j.view.From, Ring: j.ring.Name, Text: text})
		}
	}
	if req.Max > 0 && len(asked) > req.Max {
		a.Reasons = append(a.Reasons, StopReason{Text: fmt.Sprintf("%d are asked for, at most %d may stop together", len(asked), req.Max)})
	}
	a.OK = len(a.Reasons) == 0
	if a.OK {
		a.Batch = asked
		return a, nil
	}
	limit := len(asked)
	if req.Max > 0 {
		limit = min(limit, req.Max)
	}
	a.Batch = largestBatch(asked, limit, func(ids []string) bool {
		for _, j := range judges {
			if j.objection(ids) != "" {
				return false
			}
		}
		return true
	})
	return a, nil
}

// judge decides for one ring in one view.
type judge struct {
	view   *Snapshot
	ring   *Ring
	lookup *ring.Ring
}

// stopJudges finds the rings that are concerned. Views that see the same members in the same health are asked once.
func stopJudges(views []*Snapshot, req StopRequest) ([]judge, []string, error) {
	var out []judge
	var asked []string
	var known []string
	found := map[string]bool{}
	seen := map[string]bool{}
	for _, v := range views {
		for i := range v.Rings {
			r := &v.Rings[i]
			if req.Ring != "" && r.Name != req.Ring && r.Key != req.Ring {
				continue
			}
			concerned := false
			for k := range r.Instances {
				inst := &r.Instances[k]
				known = append(known, inst.ID)
				if slices.Contains(req.IDs, inst.ID) || slices.Contains(req.Zones, inst.Zone) {
					concerned, found[inst.ID] = true, true
				}
			}
			if concerned && !seen[r.situation(v)] {
				seen[r.situation(v)] = true
				out = append(out, judge{view: v, ring: r, lookup: v.Lookups(r)})
			}
		}
	}
	for _, id := range req.IDs {
		if !found[id] {
			return nil, nil, NotFound("member", id, known)
		}
	}
	for id := range found {
		asked = append(asked, id)
	}
	if len(asked) == 0 {
		return nil, nil, Fail(CodeNotFound, "can-stop", "", "no member matches")
	}
	slices.Sort(asked)
	return out, asked, nil
}

// situation identifies what a stop decision depends on.
func (r *Ring) situation(v *Snapshot) string {
	var b strings.Builder
	b.WriteString(r.Key + " " + r.Hash)
	for i := range r.Instances {
		if r.Instances[i].Health != Healthy {
			b.WriteString(" " + r.Instances[i].ID)
		}
	}
	for i := range v.PartitionRings {
		if v.PartitionRings[i].InstanceRing == r.Key {
			b.WriteString(" " + v.PartitionRings[i].Hash)
		}
	}
	return b.String()
}

// objection says why the instances may not stop together; "" when they may.
func (j *judge) objection(ids []string) string {
	r := j.ring
	healthy := 0
	for i := range r.Instances {
		if r.Instances[i].Health == Healthy && !slices.Contains(ids, r.Instances[i].ID) {
			healthy++
		}
	}
	if healthy == 0 {
		return "no healthy member would be left"
	}
	if !r.Stateless && r.Tokens > 0 {
		down := j.lookup.Down(ids...)
		for _, op := range []ring.Operation{ring.Write, ring.Read} {
			if q := QuorumOf(down, op, j.view.At); !q.OK {
				return stopText(q, r)
			}
		}
	}
	if lost := j.view.partitionsWithout(r.Key, ids); len(lost) > 0 {
		names := make([]string, len(lost))
		for i, p := range lost {
			names[i] = fmt.Sprintf("%d (%s)", p.ID, p.State)
		}
		return fmt.Sprintf("%s would have no healthy owner: %s", Plural(len(lost), "partition"), Some(names))
	}
	return ""
}

func stopText(q *Quorum, r *Ring) string {
	before := r.Write
	if q.Operation == "read" {
		before = r.Read
	}
	if before != nil && !before.OK {
		return fmt.Sprintf("the ring has no %s quorum already", q.Operation)
	}
	if q.Operation == "read" {
		return fmt.Sprintf("queries would fail: %s unhealthy, replication factor %d", Some(q.Blocking), r.ReplicationFactor)
	}
	return fmt.Sprintf("writes of %s of keys would fail: %s unhealthy, replication factor %d", percent(q.Without), Some(q.Blocking), r.ReplicationFactor)
}

// exactBatch is up to how many candidates all subsets are tried; maxTries bounds the work beyond.
const (
	exactBatch = 12
	maxTries   = 400
)

// largestBatch finds a largest subset of at most limit ids that ok accepts. ok must accept every subset of an
// accepted set.
func largestBatch(ids []string, limit int, ok func([]string) bool) []string {
	if len(ids) > exactBatch {
		return growBatch(ids, limit, ok)
	}
	for size := min(limit, len(ids)); size > 0; size-- {
		if b := subset(ids, nil, size, ok); b != nil {
			return b
		}
	}
	return []string{}
}

// subset returns the first set of size ids, in order, that ok accepts.
func subset(ids, chosen []string, size int, ok func([]string) bool) []string {
	if size == 0 {
		if ok(chosen) {
			return slices.Clone(chosen)
		}
		return nil
	}
	if len(chosen) > 0 && !ok(chosen) {
		return nil
	}
	for i := 0; i+size <= len(ids); i++ {
		if b := subset(ids[i+1:], append(chosen, ids[i]), size-1, ok); b != nil {
			return b
		}
	}
	return nil
}

// growBatch adds ids in halves: a half that fits is taken whole, one that does not is halved again.
func growBatch(ids []string, limit int, ok func([]string) bool) []string {
	batch := []string{}
	tries := 0
	var add func(part []string)
	add = func(part []string) {
		room := min(len(part), limit-len(batch))
		if room == 0 || tries >= maxTries {
			return
		}
		tries++
		if with := append(slices.Clone(batch), part[:room]...); ok(with) {
			batch = with
			add(part[room:])
			return
		}
		if len(part) > 1 {
			add(part[:len(part)/2])
			add(part[len(part)/2:])
		}
	}
	add(ids)
	return batch
}
