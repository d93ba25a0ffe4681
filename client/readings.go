package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// maxVerify bounds how many members are read before and after a change in very large clusters.
const maxVerify = 32

// readings are the views a change is planned on.
type readings struct {
	views   []*Snapshot
	failed  map[string]error
	targets []target // in the order of views
	// now is the cluster's clock in whole seconds.
	now time.Time
}

// read pulls the views of all members, or of maxVerify of them in large clusters.
func (c *Client) read(ctx context.Context) (*readings, error) {
	if len(c.cfg.HTTP) > 0 {
		return nil, model.Fail(CodeRefused, "change a ring", "use --seeds with a gossip address",
			"changes go through gossip, where every member can be written to and read back")
	}
	views, failed, err := c.sample(ctx, maxVerify, func(v *gossip.View, first *Snapshot) *Snapshot {
		return c.build(v, Observe, first)
	})
	if err != nil {
		return nil, err
	}
	r := &readings{views: views, failed: failed}
	newest := int64(0)
	for _, s := range views {
		newest = max(newest, s.NewestHeartbeat())
	}
	for _, s := range r.views {
		r.targets = append(r.targets, target{s.From, s.Addr})
	}
	now := c.cfg.Now().Unix()
	r.now = time.Unix(max(now, newest), 0).UTC()
	return r, nil
}

// names are the members that were read.
func (r *readings) names() []string {
	out := make([]string, len(r.views))
	for i, v := range r.views {
		out[i] = v.From
	}
	return out
}

// unread are the living members that gave no view, sorted; nil when there are none.
func (r *readings) unread() []string {
	if len(r.failed) == 0 {
		return nil
	}
	u := Unreached{Members: r.failed}
	return u.Names()
}

// instanceRing finds a ring by key or name in any view.
func (r *readings) instanceRing(name string) (*Ring, error) {
	var known []string
	for _, v := range r.views {
		if found, ok := v.Ring(name); ok {
			return found, nil
		}
		for i := range v.Rings {
			known = append(known, v.Rings[i].Name)
		}
	}
	return nil, model.NotFound("ring", name, known)
}

func (r *readings) partitionRing(name string) (*PartitionRing, error) {
	var known []string
	for _, v := range r.views {
		if found, ok := v.PartitionRing(name); ok {
			return found, nil
		}
		for i := range v.PartitionRings {
			known = append(known, v.PartitionRings[i].Name)
		}
	}
	return nil, model.NotFound("partition ring", name, known)
}

// newestInstance returns the entry with the highest heartbeat of all views, tombstones first among equals, and
// how many views have it alive.
func (r *readings) newestInstance(key, id string) (entry ring.Instance, alive int, found bool) {
	for _, v := range r.views {
		d := v.Desc(key)
		if d == nil {
			continue
		}
		e, ok := d.Instances[id]
		if !ok {
			continue
		}
		if e.State != ring.Left {
			alive++
		}
		if !found || e.Timestamp > entry.Timestamp || e.Timestamp == entry.Timestamp && e.State == ring.Left {
			entry, found = e, true
		}
	}
	return entry, alive, found
}

// newestPartition returns a partition with the newest state and the newest lock of all views.
func (r *readings) newestPartition(key string, id int32) (entry partition.Partition, found bool) {
	for _, v := range r.views {
		d := v.PartitionDesc(key)
		if d == nil {
			continue
		}
		p, ok := d.Partitions[id]
		if !ok {
			continue
		}
		if !found {
			entry, found = p, true
			continue
		}
		if p.StateTimestamp > entry.StateTimestamp {
			entry.State, entry.StateTimestamp = p.State, p.StateTimestamp
		}
		if p.StateChangeLockedTimestamp > entry.StateChangeLockedTimestamp {
			entry.StateChangeLocked, entry.StateChangeLockedTimestamp = p.StateChangeLocked, p.StateChangeLockedTimestamp
		}
	}
	return entry, found
}

// newestOwner returns the owner with the newest time of all views.
func (r *readings) newestOwner(key, id string) (entry partition.Owner, found bool) {
	for _, v := range r.views {
		d := v.PartitionDesc(key)
		if d == nil {
			continue
		}
		if o, ok := d.Owners[id]; ok && (!found || o.UpdatedTimestamp > entry.UpdatedTimestamp) {
			entry, found = o, true
		}
	}
	return entry, found
}

// alive is how many members the best informed view holds for alive, guests left out.
func (r *readings) alive() int {
	most := 0
	for _, v := range r.views {
		n := 0
		for _, m := range v.Members {
			if (m.State == "alive" || m.State == "suspect") && !m.Guest {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// common are the checks of every change: the clock, and members that could not be read.
func (r *readings) common(c *Client) []Check {
	var out []Check
	skew := time.Duration(0)
	seen := false
	for _, v := range r.views {
		if n := v.NewestHeartbeat(); n != 0 {
			d := time.Unix(n, 0).Sub(v.At)
			if !seen || d > skew {
				skew, seen = d, true
			}
		}
	}
	switch {
	case !seen:
		out = append(out, Check{Name: "clock", Level: Warn, Text: "no heartbeat in any ring: this machine's clock cannot be compared with the cluster's"})
	case skew > model.MaxSkew:
		out = append(out, Check{Name: "clock", Level: Refuse, Text: fmt.Sprintf(
			"the cluster's heartbeats are %s ahead of this machine's clock; set the clock, or the change may lose against what is there", skew.Round(time.Second))})
	case skew < -30*time.Second:
		out = append(out, Check{Name: "clock", Level: Refuse, Text: fmt.Sprintf(
			"the newest heartbeat in any ring is %s old: either nothing is alive, or this machine's clock is ahead; a change dated in the future cannot be undone", (-skew).Round(time.Second))})
	default:
		out = append(out, Check{Name: "clock", Level: Pass, Text: clockWords(skew)})
	}
	alive := r.alive()
	switch n := len(r.failed); {
	case n > 0:
		u := Unreached{Members: r.failed}
		out = append(out, Check{Name: "views", Level: Warn, Text: fmt.Sprintf(
			"%s could not be read (%s): what they still hold may come back", model.Plural(n, "member"), model.Some(u.Names()))})
	case alive > len(r.views):
		out = append(out, Check{Name: "views", Level: Pass, Text: fmt.Sprintf(
			"%d of %d members read and written to; gossip brings it to the others", len(r.views), alive)})
	default:
		out = append(out, Check{Name: "views", Level: Pass, Text: "all members read: " + model.Plural(len(r.views), "view")})
	}
	return out
}

// clockWords tells how old the newest heartbeat is, which is what is known of the clocks.
func clockWords(skew time.Duration) string {
	if skew = skew.Round(time.Second); skew > 0 {
		return fmt.Sprintf("the newest heartbeat is %s ahead of this machine's clock", skew)
	}
	return fmt.Sprintf("the newest heartbeat is %s old by this machine's clock", -skew)
}

// sample is a survey of at most limit members, evenly chosen.
func (c *Client) sample(ctx context.Context, limit int, build func(v *gossip.View, first *Snapshot) *Snapshot) ([]*Snapshot, map[string]error, error) {
	return c.survey(ctx, func(addrs []string) []string {
		if len(addrs) <= limit {
			return addrs
		}
		slices.Sort(addrs)
		out := make([]string, limit)
		for i := range out {
			out[i] = addrs[i*len(addrs)/limit]
		}
		return out
	}, build)
}
