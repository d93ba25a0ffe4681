package partition_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ring/ringtest"
)

// storyNow is the clock of the stories; timestamps are written as ages.
var storyNow = time.Unix(100_000, 0)

func TestStories(t *testing.T) {
	ringtest.Stories(t, "testdata/*.txt", func() func(ringtest.Command) string {
		w := &world{d: partition.NewDesc(), instances: ring.New(ring.NewDesc(), ring.Config{})}
		return w.run
	})
}

// world is the state of one story.
type world struct {
	d         *partition.Desc
	r         *partition.Ring
	instances *ring.Ring
}

func (w *world) run(c ringtest.Command) string {
	commands := map[string]func(ringtest.Command) string{
		"partitions": w.define, "instances": w.defineInstances, "change": w.change, "lock": w.lock,
		"remove": w.remove, "merge": w.merge, "tombstones": w.tombstones, "key": w.key, "keys": w.keys,
		"shard": w.shard, "sets": w.sets, "readers": w.readers, "writers": w.writers, "show": w.show,
	}
	f, ok := commands[c.Name]
	if !ok {
		return "unknown command " + c.Name
	}
	out := f(c)
	w.r = partition.New(w.d)
	return out
}

func age(c ringtest.Command) int64 {
	if c.Options["age"] == "" {
		return storyNow.Unix()
	}
	d, err := time.ParseDuration(c.Options["age"])
	if err != nil {
		panic(err)
	}
	return storyNow.Add(-d).Unix()
}

// parseDesc reads lines "NUMBER state=.. age=.. tokens=.. owners=a,b -locked"
// and "owner ID partition=N state=deleted age=..".
func parseDesc(lines []string) *partition.Desc {
	d := partition.NewDesc()
	for _, l := range lines {
		c := ringtest.ParseLine(l)
		if c.Name == "owner" {
			n, _ := strconv.Atoi(c.Options["partition"])
			o := partition.Owner{OwnedPartition: int32(n), State: partition.OwnerActive, UpdatedTimestamp: age(c)}
			if c.Options["state"] == "deleted" {
				o.State = partition.OwnerDeleted
			}
			d.Owners[c.Arg(0)] = o
			continue
		}
		n, err := strconv.Atoi(c.Name)
		if err != nil {
			panic(err)
		}
		p := partition.Partition{ID: int32(n), StateTimestamp: age(c), StateChangeLocked: c.Options["locked"] == "true"}
		p.State, _ = partition.ParseState(c.Options["state"])
		for t := range strings.SplitSeq(c.Options["tokens"], ",") {
			if v, err := strconv.ParseUint(t, 10, 32); err == nil {
				p.Tokens = append(p.Tokens, uint32(v))
			}
		}
		for o := range strings.SplitSeq(c.Options["owners"], ",") {
			if o != "" {
				d.Owners[o] = partition.Owner{OwnedPartition: p.ID, State: partition.OwnerActive, UpdatedTimestamp: age(c)}
			}
		}
		d.Partitions[p.ID] = p
	}
	return d
}

func (w *world) define(c ringtest.Command) string {
	w.d = parseDesc(c.Body)
	return show(w.d)
}

func (w *world) show(ringtest.Command) string { return show(w.d) }

func show(d *partition.Desc) string {
	if d == nil {
		return "  none\n"
	}
	var out strings.Builder
	for _, id := range slices.Sorted(maps.Keys(d.Partitions)) {
		p := d.Partitions[id]
		fmt.Fprintf(&out, "  %d %v age=%ds locked=%v tokens=%v\n", id, p.State, storyNow.Unix()-p.StateTimestamp, p.StateChangeLocked, p.Tokens)
	}
	for _, id := range slices.Sorted(maps.Keys(d.Owners)) {
		o := d.Owners[id]
		fmt.Fprintf(&out, "  %s owns %d %v age=%ds\n", id, o.OwnedPartition, o.State, storyNow.Unix()-o.UpdatedTimestamp)
	}
	return out.String()
}

func (w *world) defineInstances(c ringtest.Command) string {
	d := ring.NewDesc()
	for _, l := range c.Body {
		i := ringtest.ParseLine(l)
		state, _ := ring.ParseState(cmp.Or(i.Options["state"], "ACTIVE"))
		d.Instances[i.Name] = ring.Instance{Zone: i.Options["zone"], State: state, Timestamp: age(i)}
	}
	w.instances = ring.New(d, ring.Config{HeartbeatTimeout: time.Minute})
	return fmt.Sprintf("%d instances", len(d.Instances))
}

func number(s string) int32 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

func (w *world) change(c ringtest.Command) string {
	to, ok := partition.ParseState(c.Arg(1))
	if !ok {
		return "no such state"
	}
	f := partition.ChangeState
	if c.Options["lock"] == "true" {
		f = partition.ChangeAndLock
	}
	return result(f(w.d, number(c.Arg(0)), to, storyNow))
}

func result(changed bool, err error) string {
	switch {
	case err != nil:
		return "error: " + err.Error()
	case changed:
		return "changed"
	}
	return "no change"
}

func (w *world) lock(c ringtest.Command) string {
	return result(partition.SetLock(w.d, number(c.Arg(0)), c.Arg(1) != "off", storyNow))
}

func (w *world) remove(c ringtest.Command) string {
	if c.Arg(0) == "owner" {
		return result(partition.RemoveOwner(w.d, c.Arg(1)), nil)
	}
	return result(partition.RemovePartition(w.d, number(c.Arg(0))), nil)
}

func (w *world) merge(c ringtest.Command) string {
	change := partition.Merge(w.d, parseDesc(c.Body), c.Options["cas"] == "true", storyNow)
	return "change:\n" + show(change) + "ring:\n" + show(w.d)
}

func (w *world) tombstones(c ringtest.Command) string {
	total, removed := w.d.RemoveTombstones(storyNow.Add(-5 * time.Minute))
	return fmt.Sprintf("%d left, %d removed", total, removed)
}

func (w *world) key(c ringtest.Command) string {
	key, _ := strconv.ParseUint(c.Arg(0), 10, 32)
	id, err := w.r.ActivePartitionForKey(uint32(key))
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprint(id)
}

func (w *world) keys(ringtest.Command) string {
	var out strings.Builder
	for _, o := range w.r.Ownership() {
		fmt.Fprintf(&out, "%d %v: %d tokens, %.2f%%, owners %q\n", o.ID, o.State, o.Tokens, o.Percent, w.r.OwnersOf(o.ID))
	}
	return out.String()
}

func (w *world) shard(c ringtest.Command) string {
	size := int(number(c.Arg(1)))
	lookback, _ := time.ParseDuration(c.Options["lookback"])
	var ids []int32
	for _, p := range w.r.ShuffleShardWithLookback(c.Arg(0), size, lookback, storyNow).Partitions() {
		ids = append(ids, p.ID)
	}
	return fmt.Sprint(ids)
}

func showSet(s ring.ReplicationSet) string {
	var ids []string
	for _, i := range s.Instances {
		ids = append(ids, i.ID)
	}
	if s.ZoneAware {
		return fmt.Sprintf("%v, %d zones may fail", ids, s.MaxUnavailableZones)
	}
	return fmt.Sprintf("%v, %d may fail", ids, s.MaxErrors)
}

func (w *world) sets(ringtest.Command) string {
	sets, err := w.r.ReplicationSets(w.instances, ring.Read, storyNow)
	if err != nil {
		return "error: " + err.Error()
	}
	var out strings.Builder
	for _, s := range sets {
		fmt.Fprintln(&out, showSet(s))
	}
	return out.String()
}

func (w *world) readers(c ringtest.Command) string {
	lookback, _ := time.ParseDuration(c.Arg(0))
	plan, err := w.r.Readers(w.instances, ring.Read, lookback, storyNow)
	var out strings.Builder
	for _, s := range plan.Sets {
		fmt.Fprintf(&out, "%d: %s\n", s.Partition, showSet(s.ReplicationSet))
	}
	fmt.Fprintf(&out, "skipped %v, missing %v\n", plan.Skipped, plan.Missing)
	if err != nil {
		fmt.Fprintln(&out, "error:", err)
	}
	return out.String()
}

func (w *world) writers(c ringtest.Command) string {
	set, err := w.r.Writers(number(c.Arg(0)), w.instances, storyNow)
	if err != nil {
		return "error: " + err.Error()
	}
	return showSet(set)
}
