package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/ring"
)

// ForgetRequest says which instances should be removed from a ring.
type ForgetRequest struct {
	// Ring is the key or short name of an instance ring.
	Ring string
	// IDs are the instances. Nil together with Select chooses by condition.
	IDs []string
	// Select chooses instances of the newest view; it is used when IDs is nil.
	Select func(*Instance) bool
	// MaxChanges refuses larger selections; zero is 10.
	MaxChanges int
}

const defaultMaxChanges = 10

// PlanForget reads the ring from several members, finds the newest entry of each instance, and checks what
// removing it would do. Nothing is written. An error means that there is no plan; a plan that should not be
// carried out has checks that say so, see [Plan.Allowed].
func (c *Client) PlanForget(ctx context.Context, req ForgetRequest) (*Plan, error) {
	r, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	target, err := r.instanceRing(req.Ring)
	if err != nil {
		return nil, err
	}
	ids, err := r.choose(target, req)
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: Forget, Key: target.Key, Ring: target.Name, Views: r.names(), Unread: r.unread(), targets: r.targets, ClusterNow: r.now,
		Danger: Harmless, Checks: r.common(c)}
	alive := 0
	for _, id := range ids {
		step, checks := r.forgetStep(target, id)
		p.Steps = append(p.Steps, step)
		p.Checks = append(p.Checks, checks...)
		for _, ch := range checks {
			if ch.Level != Pass && (ch.Name == "heartbeat" || ch.Name == "future") {
				alive++
			}
		}
	}
	r.forgetChecks(p, target, ids, req.MaxChanges)
	switch n := p.Pending(); {
	case n == 1 && alive == 0:
		p.Danger = Moderate
	case n == 1:
		p.Danger, p.Confirm = Severe, ids[slices.IndexFunc(p.Steps, func(s Step) bool { return !s.Skip })]
	case n > 1:
		p.Danger, p.Confirm = Severe, fmt.Sprintf("%s:%d", p.Ring, n)
	}
	return p, nil
}

// choose returns the ids to forget, sorted.
func (r *readings) choose(target *Ring, req ForgetRequest) ([]string, error) {
	var known []string
	picked := map[string]bool{}
	for _, v := range r.views {
		of, ok := v.Ring(target.Key)
		if !ok {
			continue
		}
		for i := range of.Instances {
			known = append(known, of.Instances[i].ID)
			if req.IDs == nil && req.Select != nil && req.Select(&of.Instances[i]) {
				picked[of.Instances[i].ID] = true
			}
		}
	}
	for _, id := range req.IDs {
		if _, _, found := r.newestInstance(target.Key, id); !found {
			return nil, model.NotFound("member", id, known)
		}
		picked[id] = true
	}
	if len(picked) == 0 {
		return nil, model.Fail(CodeNotFound, "forget", "", "no member of ring %s matches", target.Name)
	}
	ids := make([]string, 0, len(picked))
	for id := range picked {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

// forgetStep prepares the tombstone of one instance and judges whether the instance is really gone.
func (r *readings) forgetStep(target *Ring, id string) (Step, []Check) {
	e, alive, _ := r.newestInstance(target.Key, id)
	timeout := time.Duration(target.HeartbeatTimeout)
	age := r.now.Sub(time.Unix(e.Timestamp, 0))
	s := Step{ID: id, Before: describe(&e, r.now), Written: time.Unix(max(r.now.Unix(), e.Timestamp), 0).UTC()}
	s.done = func(v *Snapshot) (string, bool) { return stillThere(v, target.Key, id) }
	if alive == 0 {
		s.Skip, s.After = true, s.Before
		return s, []Check{{Name: "present", Level: Pass, ID: id, Text: "already removed in all views"}}
	}
	var checks []Check
	s.Fingerprint = fingerprint(&e, true)
	switch health := model.HealthOf(&e, r.now, timeout); {
	case e.State == ring.Left:
		checks = append(checks, Check{Name: "heartbeat", Level: Pass, ID: id, Text: fmt.Sprintf("removed %s ago, which %d of %d members missed", model.Age(age), alive, len(r.views))})
	case health == Future:
		checks = append(checks, Check{Name: "future", Level: Refuse, ID: id, Text: fmt.Sprintf(
			"its heartbeat is dated %s ahead (%s). Removing it means writing a removal with the same date: every view becomes clean, "+
				"but an instance with this id cannot register again before that date. Do it only if the id will never come back; "+
				"otherwise give the instance a new id, or restart all members at once", model.Age(-age), s.Written.Format(time.RFC3339))})
	case health == Unhealthy:
		checks = append(checks, Check{Name: "heartbeat", Level: Pass, ID: id, Text: fmt.Sprintf("last heartbeat %s ago, older than the timeout of %s", model.Age(age), timeout)})
	default:
		checks = append(checks, Check{Name: "heartbeat", Level: Refuse, ID: id, Text: fmt.Sprintf(
			"it is alive: last heartbeat %s ago, the timeout is %s. A running instance registers again with its next heartbeat; stop it first", model.Age(age), timeout)})
		s.Fingerprint = fingerprint(&e, false)
	}
	if alive < len(r.views) && e.State != ring.Left {
		checks = append(checks, Check{Name: "views", Level: Warn, ID: id, Text: fmt.Sprintf("only %d of %d views have it", alive, len(r.views))})
	}
	tomb := e
	tomb.State, tomb.Tokens, tomb.Timestamp = ring.Left, nil, s.Written.Unix()
	s.After = "LEFT, no tokens, dated " + s.Written.Format(time.RFC3339)
	s.pair = gossip.Pair{Key: target.Key, Codec: ring.Codec,
		Value: ring.EncodeValue(&ring.Desc{Instances: map[string]ring.Instance{id: tomb}})}
	return s, checks
}

// forgetChecks adds the checks on the ring as a whole: quorum, partitions, and how much is being removed.
func (r *readings) forgetChecks(p *Plan, target *Ring, ids []string, maxChanges int) {
	if maxChanges == 0 {
		maxChanges = defaultMaxChanges
	}
	if n := p.Pending(); n > maxChanges {
		p.Checks = append(p.Checks, Check{Name: "cap", Level: Block, Text: fmt.Sprintf("%d members would be removed, the cap is %d (--max-changes)", n, maxChanges)})
	}
	if bad := len(target.Instances) - target.HealthyCount; len(target.Instances) > 2 && 2*bad > len(target.Instances) {
		p.Checks = append(p.Checks, Check{Name: "maybe-us", Level: Refuse, Text: fmt.Sprintf(
			"%d of %d members look dead from here: look for a partition or a wrong clock on this side before believing it", bad, len(target.Instances))})
	}
	for _, v := range r.views {
		if of, ok := v.Ring(target.Key); ok {
			check, effect := forgetQuorum(v, of, ids)
			if check != nil && !slices.Contains(p.Checks, *check) {
				p.Checks = append(p.Checks, *check)
			}
			p.Effect = effect
		}
	}
	seen := map[string]bool{}
	for _, v := range r.views {
		for _, c := range ownedBy(v, target.Key, ids) {
			if !seen[c.Text] {
				seen[c.Text] = true
				p.Checks = append(p.Checks, c)
			}
		}
	}
}

// forgetQuorum compares the quorums with and without the instances.
func forgetQuorum(s *Snapshot, r *Ring, ids []string) (*Check, string) {
	if r.Write == nil {
		return nil, fmt.Sprintf("%s -> %s", model.Plural(len(r.Instances), "member"), model.Plural(len(r.Instances)-len(ids), "member"))
	}
	left := s.Lookups(r).Without(ids...)
	write, read := model.QuorumOf(left, ring.Write, s.At), model.QuorumOf(left, ring.Read, s.At)
	effect := fmt.Sprintf("write quorum %s -> %s, read quorum %s -> %s", r.Write.Short(), write.Short(), r.Read.Short(), read.Short())
	switch {
	case r.Write.OK && !write.OK || r.Read.OK && !read.OK:
		return &Check{Name: "quorum", Level: Refuse, Text: "keys would lose their quorum: " + effect}, effect
	case len(left.Instances()) < r.ReplicationFactor:
		return &Check{Name: "quorum", Level: Warn, Text: fmt.Sprintf("%s would be left for replication factor %d, and a copy of its data is gone: %s",
			model.Plural(len(left.Instances()), "member"), r.ReplicationFactor, effect)}, effect
	default:
		return &Check{Name: "quorum", Level: Pass, Text: effect}, effect
	}
}

// ownedBy finds partitions whose owners are among the instances.
func ownedBy(s *Snapshot, key string, ids []string) []Check {
	var out []Check
	for i := range s.PartitionRings {
		pr := &s.PartitionRings[i]
		if pr.InstanceRing != key {
			continue
		}
		for j := range pr.Partitions {
			p := &pr.Partitions[j]
			remaining := p.HealthyOwners
			var mine []string
			for _, o := range p.Owners {
				if slices.Contains(ids, o.Instance) {
					mine = append(mine, o.Instance)
					if o.Health == Healthy {
						remaining--
					}
				}
			}
			if len(mine) == 0 {
				continue
			}
			c := Check{Name: "partition-owner", Level: Warn, ID: mine[0], Text: fmt.Sprintf(
				"still owns partition %d (%s) of %s; the owner entry stays behind, remove it with ringctl partition owner remove", p.ID, p.State, pr.Name)}
			if remaining <= 0 && p.State == "ACTIVE" {
				c.Level, c.Text = Refuse, fmt.Sprintf("last owner of partition %d of %s, which is ACTIVE: its recent data would have no reader", p.ID, pr.Name)
			}
			out = append(out, c)
		}
	}
	return out
}

// stillThere tells what a view has of an instance that should be gone.
func stillThere(v *Snapshot, key, id string) (string, bool) {
	d := v.Desc(key)
	if d == nil {
		return "no such ring", true
	}
	e, ok := d.Instances[id]
	if !ok || e.State == ring.Left {
		return "", true
	}
	return describe(&e, v.At), false
}

// describe is an entry in a few words.
func describe(e *ring.Instance, now time.Time) string {
	parts := []string{e.State.String(), model.Plural(len(e.Tokens), "token")}
	if e.Zone != "" {
		parts = append(parts, "zone "+e.Zone)
	}
	age := now.Sub(time.Unix(e.Timestamp, 0))
	switch {
	case e.Timestamp == 0:
		parts = append(parts, "no heartbeat")
	case age < 0:
		parts = append(parts, "heartbeat "+model.Age(-age)+" ahead")
	default:
		parts = append(parts, "heartbeat "+model.Age(age)+" ago")
	}
	return strings.Join(parts, ", ")
}

// fingerprint identifies an entry, with or without its heartbeat.
func fingerprint(e *ring.Instance, heartbeat bool) string {
	c := *e
	if !heartbeat {
		c.Timestamp = 0
	}
	b := ring.EncodeValue(&ring.Desc{Instances: map[string]ring.Instance{c.ID: c}})
	sum := sha256.Sum256(b)
	mark := "e"
	if heartbeat {
		mark = "h"
	}
	return mark + hex.EncodeToString(sum[:8])
}

// Forget plans, checks and removes in one call: the plan must be [Plan.Allowed] (forced or not). Confirmation is the
// caller's business.
func (c *Client) Forget(ctx context.Context, req ForgetRequest, force bool) (*Result, error) {
	p, err := c.PlanForget(ctx, req)
	if err != nil {
		return nil, err
	}
	return c.Apply(ctx, p, ApplyOptions{Force: force})
}
