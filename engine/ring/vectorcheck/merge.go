package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// mergeCase is a case of merge_ring or merge_partition_ring; J is the JSON form
// of the value.
type mergeCase[J any] struct {
	LocalCAS      bool    `json:"local_cas"`
	Now           int64   `json:"now_unix"`
	A             J       `json:"a"`
	B             J       `json:"b"`
	AProto        []byte  `json:"a_proto_b64"`
	BProto        []byte  `json:"b_proto_b64"`
	Result        J       `json:"result"`
	Change        *J      `json:"change"`
	ResultProto   []byte  `json:"result_proto_b64"`
	ChangeProto   *[]byte `json:"change_proto_b64"`
	ReverseResult *J      `json:"reverse_result"`
	Commutes      *bool   `json:"commutes"`
}

// merging is what the two merges have in common; D is a pointer.
type merging[D interface{ Clone() D }, J any] struct {
	unmarshal func([]byte) (D, error)
	merge     func(cur, in D, localCAS bool, now time.Time) D
	same      func(J, D) error
	isNil     func(D) bool
	hash      func(D) ring.Hash
	// stored is how b gets into an empty store for the reversed merge.
	stored func(b D, now time.Time) D
}

func checkMergeRing(raw json.RawMessage) error {
	return checkMerge(raw, merging[*ring.Desc, ringJSON]{
		unmarshal: ring.Unmarshal, merge: ring.Merge, same: sameRing,
		isNil: func(d *ring.Desc) bool { return d == nil },
		hash:  (*ring.Desc).Hash,
		stored: func(b *ring.Desc, now time.Time) *ring.Desc {
			// A store holds normalised entries. Entries the merge refuses into
			// an empty store are put there as well.
			cur := ring.NewDesc()
			ring.Merge(cur, b, false, now)
			for id, i := range b.Instances {
				if _, ok := cur.Instances[id]; !ok {
					cur.Instances[id] = i
				}
			}
			return cur
		},
	})
}

func checkMergePartitionRing(raw json.RawMessage) error {
	return checkMerge(raw, merging[*partition.Desc, partitionRingJSON]{
		unmarshal: partition.Unmarshal, merge: partition.Merge, same: samePartitionRing,
		isNil:  func(d *partition.Desc) bool { return d == nil },
		hash:   (*partition.Desc).Hash,
		stored: func(b *partition.Desc, _ time.Time) *partition.Desc { return b.Clone() },
	})
}

func checkMerge[D interface{ Clone() D }, J any](raw json.RawMessage, k merging[D, J]) error {
	var c mergeCase[J]
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	a, err := k.input(c.AProto, c.A)
	if err != nil {
		return fmt.Errorf("a: %w", err)
	}
	b, err := k.input(c.BProto, c.B)
	if err != nil {
		return fmt.Errorf("b: %w", err)
	}
	now := time.Unix(c.Now, 0)
	incoming := k.hash(b)
	cur := a.Clone()
	change := k.merge(cur, b, c.LocalCAS, now)
	if k.hash(b) != incoming {
		return errors.New("the incoming value was modified")
	}
	if err := k.same(c.Result, cur); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if err := k.checkChange(c, change); err != nil {
		return fmt.Errorf("change: %w", err)
	}
	return k.checkReverse(c, a, b, cur, now)
}

func (k merging[D, J]) input(proto []byte, want J) (D, error) {
	d, err := k.unmarshal(proto)
	if err != nil {
		return d, err
	}
	return d, k.same(want, d)
}

func (k merging[D, J]) checkChange(c mergeCase[J], change D) error {
	switch {
	case c.Change == nil && k.isNil(change):
		return nil
	case c.Change == nil:
		return errors.New("reported, want none")
	case k.isNil(change):
		return errors.New("none reported")
	}
	return k.same(*c.Change, change)
}

func (k merging[D, J]) checkReverse(c mergeCase[J], a, b, result D, now time.Time) error {
	if c.LocalCAS || c.ReverseResult == nil {
		return nil
	}
	cur := k.stored(b, now)
	k.merge(cur, a, false, now)
	if err := k.same(*c.ReverseResult, cur); err != nil {
		return fmt.Errorf("reverse result: %w", err)
	}
	if equal := k.same(*c.ReverseResult, result) == nil; c.Commutes != nil && equal != *c.Commutes {
		return fmt.Errorf("commutes is %v, want %v", equal, *c.Commutes)
	}
	return nil
}

func checkRemoveTombstones(raw json.RawMessage) error {
	var c struct {
		Type    string          `json:"type"`
		Limit   *int64          `json:"limit_unix"`
		Proto   []byte          `json:"in_proto_b64"`
		Total   int             `json:"total"`
		Removed int             `json:"removed"`
		Result  json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	var limit time.Time
	if c.Limit != nil {
		limit = time.Unix(*c.Limit, 0)
	}
	total, removed, err := removeTombstones(c.Type, c.Proto, limit, c.Result)
	if err != nil {
		return err
	}
	if total != c.Total || removed != c.Removed {
		return fmt.Errorf("%d left and %d removed, want %d and %d", total, removed, c.Total, c.Removed)
	}
	return nil
}

func removeTombstones(kind string, proto []byte, limit time.Time, result json.RawMessage) (total, removed int, err error) {
	if kind == "ring" {
		d, err := ring.Unmarshal(proto)
		if err != nil {
			return 0, 0, err
		}
		total, removed = d.RemoveTombstones(limit)
		var want ringJSON
		if err := json.Unmarshal(result, &want); err != nil {
			return 0, 0, err
		}
		return total, removed, sameRing(want, d)
	}
	d, err := partition.Unmarshal(proto)
	if err != nil {
		return 0, 0, err
	}
	total, removed = d.RemoveTombstones(limit)
	var want partitionRingJSON
	if err := json.Unmarshal(result, &want); err != nil {
		return 0, 0, err
	}
	return total, removed, samePartitionRing(want, d)
}
