package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// partitionCase is a case of lookup_partition_ring.
type partitionCase struct {
	Now             int64                 `json:"now_unix"`
	Proto           []byte                `json:"ring_proto_b64"`
	Ring            partitionRingJSON     `json:"ring"`
	ForKey          []partitionKeyJSON    `json:"active_partition_for_key"`
	Ownership       map[string]ownerPart  `json:"ownership"`
	ShuffleShard    []partitionShardJSON  `json:"shuffle_shard"`
	ShardSize       map[string]int        `json:"shuffle_shard_size"`
	TokenRanges     []partitionRangesJSON `json:"token_ranges"`
	Owners          map[string][]string   `json:"owners_by_partition"`
	Active          []int32               `json:"active_partition_ids"`
	Inactive        []int32               `json:"inactive_partition_ids"`
	Pending         []int32               `json:"pending_partition_ids"`
	Count           int                   `json:"partitions_count"`
	MaxID           int32                 `json:"max_partition_id"`
	ReplicationSets []partitionSetsJSON   `json:"replication_sets"`
}

type partitionKeyJSON struct {
	Key       uint32 `json:"key"`
	Partition *int32 `json:"partition"`
}

type partitionShardJSON struct {
	Identifier string  `json:"identifier"`
	Size       int     `json:"size"`
	Lookback   int64   `json:"lookback_seconds"`
	Partitions []int32 `json:"partitions"`
}

type partitionRangesJSON struct {
	Partition int32    `json:"partition"`
	Ranges    []uint32 `json:"ranges"`
}

type partitionSetsJSON struct {
	Instances ringJSON  `json:"instances"`
	Timeout   int64     `json:"heartbeat_timeout_seconds"`
	Op        string    `json:"op"`
	Sets      []setJSON `json:"sets"`
	Error     string    `json:"error"`
}

func checkLookupPartitionRing(raw json.RawMessage) error {
	var c partitionCase
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	d, err := partition.Unmarshal(c.Proto)
	if err != nil {
		return err
	}
	if err := samePartitionRing(c.Ring, d); err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	r := partition.New(d)
	for _, check := range []func(*partition.Ring) error{
		c.checkKeys, c.checkOwnership, c.checkShards, c.checkRanges, c.checkLists, c.checkSets,
	} {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}

func (c *partitionCase) checkKeys(r *partition.Ring) error {
	for _, k := range c.ForKey {
		got, err := r.ActivePartitionForKey(k.Key)
		if (err != nil) != (k.Partition == nil) || err == nil && got != *k.Partition {
			return fmt.Errorf("active partition for %d: %d, error %v", k.Key, got, err)
		}
	}
	return nil
}

func (c *partitionCase) checkOwnership(r *partition.Ring) error {
	owners := r.Ownership()
	if len(owners) != len(c.Ownership) {
		return fmt.Errorf("ownership of %d partitions, want %d", len(owners), len(c.Ownership))
	}
	for _, o := range owners {
		if err := c.Ownership[strconv.Itoa(int(o.ID))].same(o.Range, o.Percent); err != nil {
			return fmt.Errorf("ownership of %d: %w", o.ID, err)
		}
	}
	return nil
}

func (c *partitionCase) checkShards(r *partition.Ring) error {
	now := time.Unix(c.Now, 0)
	for _, s := range c.ShuffleShard {
		shard := r.ShuffleShardWithLookback(s.Identifier, s.Size, time.Duration(s.Lookback)*time.Second, now)
		var got []int32
		for _, p := range shard.Partitions() {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, s.Partitions) {
			return fmt.Errorf("shuffle shard %q size %d lookback %d: %v, want %v", s.Identifier, s.Size, s.Lookback, got, s.Partitions)
		}
	}
	for size, want := range c.ShardSize {
		n, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		if got := r.ShuffleShardSize(n); got != want {
			return fmt.Errorf("shuffle shard size %s: %d, want %d", size, got, want)
		}
	}
	return nil
}

func (c *partitionCase) checkRanges(r *partition.Ring) error {
	for _, t := range c.TokenRanges {
		if got := flatRanges(r.TokenRanges(t.Partition)); !slices.Equal(got, t.Ranges) {
			return fmt.Errorf("token ranges of %d: %v, want %v", t.Partition, got, t.Ranges)
		}
	}
	return nil
}

func (c *partitionCase) checkLists(r *partition.Ring) error {
	for id, want := range c.Owners {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			return err
		}
		if got := r.OwnersOf(int32(n)); !slices.Equal(got, want) {
			return fmt.Errorf("owners of %s: %q, want %q", id, got, want)
		}
	}
	for state, want := range map[partition.State][]int32{
		partition.Active: c.Active, partition.Inactive: c.Inactive, partition.Pending: c.Pending,
	} {
		if got := r.IDs(state); !slices.Equal(got, want) {
			return fmt.Errorf("%v: %v, want %v", state, got, want)
		}
	}
	if len(r.Partitions()) != c.Count || r.MaxID() != c.MaxID {
		return fmt.Errorf("%d partitions up to %d, want %d up to %d", len(r.Partitions()), r.MaxID(), c.Count, c.MaxID)
	}
	return nil
}

func (c *partitionCase) checkSets(r *partition.Ring) error {
	for n, s := range c.ReplicationSets {
		op, err := operation(s.Op)
		if err != nil {
			return err
		}
		d, err := s.Instances.desc()
		if err != nil {
			return err
		}
		instances := ring.New(d, ring.Config{HeartbeatTimeout: time.Duration(s.Timeout) * time.Second})
		sets, err := r.ReplicationSets(instances, op, time.Unix(c.Now, 0))
		if err := sameError(s.Error, err); err != nil {
			return fmt.Errorf("replication sets %d: %w", n, err)
		}
		if err := s.same(sets); err != nil {
			return fmt.Errorf("replication sets %d: %w", n, err)
		}
	}
	return nil
}

// same compares without regard to the order of the sets.
func (s partitionSetsJSON) same(sets []ring.ReplicationSet) error {
	if len(sets) != len(s.Sets) {
		return fmt.Errorf("%d sets, want %d", len(sets), len(s.Sets))
	}
	slices.SortFunc(sets, func(a, b ring.ReplicationSet) int { return slices.Compare(sortedIDs(a), sortedIDs(b)) })
	want := slices.Clone(s.Sets)
	slices.SortFunc(want, func(a, b setJSON) int { return slices.Compare(a.IDs, b.IDs) })
	for n := range want {
		if err := want[n].same(sets[n]); err != nil {
			return err
		}
	}
	return nil
}

func sortedIDs(set ring.ReplicationSet) []string {
	out := ids(set)
	slices.Sort(out)
	return out
}

func checkPartitionEdit(raw json.RawMessage) error {
	var c struct {
		From    string `json:"from_state"`
		Locked  bool   `json:"locked"`
		To      string `json:"to_state"`
		Exists  bool   `json:"partition_exists"`
		Changed bool   `json:"changed"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	from, okFrom := partition.ParseState(c.From)
	to, okTo := partition.ParseState(c.To)
	if !okTo || c.Exists && !okFrom {
		return fmt.Errorf("unreadable states %q, %q", c.From, c.To)
	}
	d := partition.NewDesc()
	if c.Exists {
		d.Partitions[1] = partition.Partition{ID: 1, State: from, StateTimestamp: 1, StateChangeLocked: c.Locked}
	}
	changed, err := partition.ChangeState(d, 1, to, time.Unix(1755800000, 0))
	if got := editError(err); got != c.Error || changed != c.Changed {
		return fmt.Errorf("changed %v, error %q; want %v, %q", changed, got, c.Changed, c.Error)
	}
	if changed && d.Partitions[1].State != to {
		return fmt.Errorf("state is %v after the change to %v", d.Partitions[1].State, to)
	}
	return nil
}

func editError(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, partition.ErrDoesNotExist):
		return "does_not_exist"
	case errors.Is(err, partition.ErrNotAllowed):
		return "not_allowed"
	case errors.Is(err, partition.ErrLocked):
		return "locked"
	}
	return err.Error()
}
