package ring_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ring/ringtest"
)

// storyNow is the clock of the stories; heartbeats are written as ages.
var storyNow = time.Unix(100_000, 0)

func TestStories(t *testing.T) {
	ringtest.Stories(t, "testdata/*.txt", func() func(ringtest.Command) string {
		w := &world{}
		return w.run
	})
}

// world is the state of one story: a ring value, its config, the snapshot.
type world struct {
	d   *ring.Desc
	cfg ring.Config
	r   *ring.Ring
}

func (w *world) run(c ringtest.Command) string {
	commands := map[string]func(ringtest.Command) string{
		"ring": w.define, "get": w.get, "set": w.set, "healthy": w.healthy,
		"quorum": w.quorum, "ownership": w.ownership, "ranges": w.ranges, "shard": w.shard,
		"down": w.down, "without": w.without, "add": w.add, "merge": w.merge, "tombstones": w.tombstones,
		"duplicates": w.duplicates, "heartbeat": w.heartbeat,
	}
	f, ok := commands[c.Name]
	if !ok {
		return "unknown command " + c.Name
	}
	return f(c)
}

func parseInstance(line string) ring.Instance {
	c := ringtest.ParseLine(line)
	i := ring.Instance{ID: c.Name, Zone: c.Options["zone"], ReadOnly: c.Options["readonly"] == "true"}
	i.Timestamp = storyNow.Unix()
	if s, ok := c.Options["state"]; ok {
		i.State, _ = ring.ParseState(s)
	}
	if s, ok := c.Options["age"]; ok {
		age, err := time.ParseDuration(s)
		if err != nil {
			panic(err)
		}
		i.Timestamp = storyNow.Add(-age).Unix()
	}
	if s, ok := c.Options["tokens"]; ok {
		for t := range strings.SplitSeq(s, ",") {
			n, err := strconv.ParseUint(t, 10, 32)
			if err != nil {
				panic(err)
			}
			i.Tokens = append(i.Tokens, uint32(n))
		}
	}
	return i
}

func parseDesc(lines []string) *ring.Desc {
	d := ring.NewDesc()
	for _, l := range lines {
		i := parseInstance(l)
		d.Instances[i.ID] = i
	}
	return d
}

func (w *world) define(c ringtest.Command) string {
	w.d = parseDesc(c.Body)
	rf, _ := strconv.Atoi(c.Options["rf"])
	w.cfg = ring.Config{ReplicationFactor: rf, ZoneAwareness: c.Options["zones"] == "true", HeartbeatTimeout: time.Minute}
	if z := c.Options["exclude"]; z != "" {
		w.cfg.ExcludedZones = strings.Split(z, ",")
	}
	if c.Options["ignore-unhealthy"] == "true" {
		w.cfg.Strategy = ring.IgnoreUnhealthy
	}
	return w.rebuilt(ring.New(w.d, w.cfg))
}

func (w *world) rebuilt(r *ring.Ring) string {
	w.r = r
	return fmt.Sprintf("%d instances, %d tokens, zones %q", len(r.Instances()), r.TokenCount(), r.Zones())
}

func op(name string) ring.Operation {
	return map[string]ring.Operation{
		"write": ring.Write, "write-no-extend": ring.WriteNoExtend, "read": ring.Read, "reporting": ring.Reporting,
	}[name]
}

func (w *world) get(c ringtest.Command) string {
	key, _ := strconv.ParseUint(c.Arg(0), 10, 32)
	rf, _ := strconv.Atoi(c.Options["rf"])
	set, err := w.r.GetRF(uint32(key), op(c.Arg(1)), storyNow, rf, nil)
	return showSet(set, err)
}

func showSet(set ring.ReplicationSet, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var ids []string
	for _, i := range set.Instances {
		ids = append(ids, i.ID)
	}
	may := fmt.Sprintf("%d may fail", set.MaxErrors)
	if set.ZoneAware {
		may = fmt.Sprintf("%d zones may fail", set.MaxUnavailableZones)
	}
	return strings.Join(ids, " ") + "; " + may
}

func (w *world) set(c ringtest.Command) string {
	return showSet(w.r.ReplicationSetForOperation(op(c.Arg(0)), storyNow))
}

func (w *world) healthy(c ringtest.Command) string {
	return showSet(w.r.AllHealthy(op(c.Arg(0)), storyNow))
}

func (w *world) quorum(c ringtest.Command) string {
	q := w.r.Quorum(op(c.Arg(0)), storyNow)
	var out strings.Builder
	fmt.Fprintf(&out, "ok %v, %d ranges, worst margin %d, lost keys %d\n", q.OK(), q.Ranges, q.Worst, q.LostKeys())
	for _, m := range q.Margins {
		fmt.Fprintf(&out, "margin %d: %d ranges, %d keys\n", m.Margin, m.Ranges, m.Keys)
	}
	for _, l := range q.Lost {
		fmt.Fprintf(&out, "lost %d keys in %d ranges, %d replicas missing, unhealthy %q, such as %d-%d\n",
			l.Keys, l.Ranges, l.Missing, l.Unhealthy, l.Example.First, l.Example.Last)
	}
	if q.WholeErr != nil {
		fmt.Fprintf(&out, "whole ring: %v\n", q.WholeErr)
	} else {
		fmt.Fprintf(&out, "whole ring: %d more may fail\n", q.Whole)
	}
	return out.String()
}

func (w *world) ownership(ringtest.Command) string {
	var out strings.Builder
	for _, o := range w.r.Ownership() {
		fmt.Fprintf(&out, "%s zone=%s %d tokens, %d keys, %.8f%%\n", o.ID, o.Zone, o.Tokens, o.Range, o.Percent)
	}
	return out.String()
}

func (w *world) ranges(c ringtest.Command) string {
	ranges, err := w.r.TokenRanges(c.Arg(0))
	if err != nil {
		return "error: " + err.Error()
	}
	var parts []string
	for _, r := range ranges {
		parts = append(parts, fmt.Sprintf("%d-%d", r.First, r.Last))
	}
	return strings.Join(parts, " ")
}

func (w *world) shard(c ringtest.Command) string {
	size, _ := strconv.Atoi(c.Arg(1))
	shard := w.r.ShuffleShard(c.Arg(0), size)
	if l, ok := c.Options["lookback"]; ok {
		d, err := time.ParseDuration(l)
		if err != nil {
			return err.Error()
		}
		shard = w.r.ShuffleShardWithLookback(c.Arg(0), size, d, storyNow)
	}
	var ids []string
	for _, i := range shard.Instances() {
		ids = append(ids, i.ID)
	}
	return strings.Join(ids, " ")
}

func (w *world) down(c ringtest.Command) string {
	if z, ok := c.Options["zone"]; ok {
		return w.rebuilt(w.r.DownZone(z))
	}
	return w.rebuilt(w.r.Down(c.Args...))
}

func (w *world) without(c ringtest.Command) string {
	before := w.r
	out := ""
	if z, ok := c.Options["zone"]; ok {
		out = w.rebuilt(w.r.WithoutZone(z))
	} else {
		out = w.rebuilt(w.r.Without(c.Args...))
	}
	return out + "\n" + moved(before, w.r)
}

func (w *world) add(c ringtest.Command) string {
	before := w.r
	var added []ring.Instance
	for _, l := range c.Body {
		added = append(added, parseInstance(l))
	}
	return w.rebuilt(w.r.With(added...)) + "\n" + moved(before, w.r)
}

func moved(a, b *ring.Ring) string {
	m := ring.MovedKeys(a, b)
	return fmt.Sprintf("%.2f%% of keys change owner, %.2f%% of replicas move", 100*m.Owner, 100*m.Replicas)
}

func (w *world) merge(c ringtest.Command) string {
	if w.d == nil {
		w.d = ring.NewDesc()
	}
	change := ring.Merge(w.d, parseDesc(c.Body), c.Options["cas"] == "true", storyNow)
	return "change:\n" + showDesc(change) + "ring:\n" + showDesc(w.d)
}

func showDesc(d *ring.Desc) string {
	if d == nil {
		return "  none\n"
	}
	var out strings.Builder
	for _, id := range slices.Sorted(maps.Keys(d.Instances)) {
		i := d.Instances[id]
		fmt.Fprintf(&out, "  %s %v age=%ds tokens=%v\n", id, i.State, storyNow.Unix()-i.Timestamp, i.Tokens)
	}
	return out.String()
}

func (w *world) tombstones(c ringtest.Command) string {
	var limit time.Time
	if s, ok := c.Options["older"]; ok {
		age, err := time.ParseDuration(s)
		if err != nil {
			return err.Error()
		}
		limit = storyNow.Add(-age)
	}
	total, removed := w.d.RemoveTombstones(limit)
	return fmt.Sprintf("%d left, %d removed\n", total, removed) + showDesc(w.d)
}

func (w *world) duplicates(ringtest.Command) string {
	var out strings.Builder
	for _, d := range w.d.DuplicateTokens() {
		fmt.Fprintf(&out, "token %d: %v, winner %s, on the ring %s\n", d.Token, d.Holders, d.Winner, w.r.Owner(d.Token-1).ID)
	}
	return out.String()
}

func (w *world) heartbeat(ringtest.Command) string {
	var out strings.Builder
	for _, i := range w.r.Instances() {
		fmt.Fprintf(&out, "%s %v, healthy for read: %v\n", i.ID, i.HeartbeatState(storyNow, time.Minute), i.IsHealthy(ring.Read, time.Minute, storyNow))
	}
	return out.String()
}
