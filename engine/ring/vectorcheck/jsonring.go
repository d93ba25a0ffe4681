package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// ringJSON is how the vectors write a ring.
type ringJSON struct {
	Instances map[string]instanceJSON `json:"instances"`
}

type instanceJSON struct {
	Addr       string            `json:"addr"`
	Timestamp  int64             `json:"timestamp"`
	State      string            `json:"state"`
	Tokens     []uint32          `json:"tokens"`
	Zone       string            `json:"zone"`
	Registered int64             `json:"registered_timestamp"`
	ID         string            `json:"id"`
	ReadOnlyAt int64             `json:"read_only_updated_timestamp"`
	ReadOnly   bool              `json:"read_only"`
	Versions   map[string]uint64 `json:"versions"`
}

// desc gives the ring itself.
func (r ringJSON) desc() (*ring.Desc, error) {
	d := ring.NewDesc()
	for key, j := range r.Instances {
		state, ok := ring.ParseState(j.State)
		if !ok {
			return nil, fmt.Errorf("instance %q: unreadable state %q", key, j.State)
		}
		i := ring.Instance{
			ID: j.ID, Addr: j.Addr, Timestamp: j.Timestamp, State: state, Tokens: j.Tokens, Zone: j.Zone,
			RegisteredTimestamp: j.Registered, ReadOnlyUpdatedTimestamp: j.ReadOnlyAt, ReadOnly: j.ReadOnly,
		}
		for k, v := range j.Versions {
			n, err := strconv.ParseUint(k, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("instance %q: version %q: %w", key, k, err)
			}
			if i.Versions == nil {
				i.Versions = map[uint64]uint64{}
			}
			i.Versions[n] = v
		}
		d.Instances[key] = i
	}
	return d, nil
}

// sameRing compares a decoded ring with what a vector says, field by field.
// Unknown protobuf fields are not part of the vectors' form.
func sameRing(want ringJSON, got *ring.Desc) error {
	d, err := want.desc()
	if err != nil {
		return err
	}
	return sameDesc(d, got)
}

func sameDesc(want, got *ring.Desc) error {
	if got == nil {
		return fmt.Errorf("no ring, want %d instances", len(want.Instances))
	}
	if w, g := want.EntryNames(), got.EntryNames(); !slices.Equal(w, g) {
		return fmt.Errorf("instances %q, want %q", g, w)
	}
	for key, w := range want.Instances {
		if err := sameInstance(w, got.Instances[key]); err != nil {
			return fmt.Errorf("instance %q: %w", key, err)
		}
	}
	return nil
}

func sameInstance(w, g ring.Instance) error {
	type plain struct {
		id, addr, zone           string
		timestamp, registered, r int64
		state                    ring.State
		readOnly                 bool
	}
	flat := func(i ring.Instance) plain {
		return plain{i.ID, i.Addr, i.Zone, i.Timestamp, i.RegisteredTimestamp, i.ReadOnlyUpdatedTimestamp, i.State, i.ReadOnly}
	}
	switch {
	case flat(w) != flat(g):
		return fmt.Errorf("%+v, want %+v", flat(g), flat(w))
	case !slices.Equal(w.Tokens, g.Tokens):
		return fmt.Errorf("tokens %v, want %v", g.Tokens, w.Tokens)
	case !maps.Equal(w.Versions, g.Versions):
		return fmt.Errorf("versions %v, want %v", g.Versions, w.Versions)
	}
	return nil
}

// partitionRingJSON is how the vectors write a partition ring.
type partitionRingJSON struct {
	Partitions map[string]partitionJSON `json:"partitions"`
	Owners     map[string]ownerJSON     `json:"owners"`
}

type partitionJSON struct {
	ID             int32    `json:"id"`
	Tokens         []uint32 `json:"tokens"`
	NumTokens      int      `json:"num_tokens"`
	TokensOmitted  bool     `json:"tokens_omitted"`
	State          string   `json:"state"`
	StateTimestamp int64    `json:"state_timestamp"`
	Locked         bool     `json:"state_change_locked"`
	LockedAt       int64    `json:"state_change_locked_timestamp"`
}

type ownerJSON struct {
	Owned     int32  `json:"owned_partition"`
	State     string `json:"state"`
	UpdatedAt int64  `json:"updated_timestamp"`
}

// desc gives the partition ring itself; omitted tokens stay empty.
func (r partitionRingJSON) desc() (*partition.Desc, error) {
	d := partition.NewDesc()
	for key, j := range r.Partitions {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("partition %q: %w", key, err)
		}
		state, ok := partition.ParseState(j.State)
		if !ok {
			return nil, fmt.Errorf("partition %q: unreadable state %q", key, j.State)
		}
		d.Partitions[int32(id)] = partition.Partition{
			ID: j.ID, Tokens: j.Tokens, State: state, StateTimestamp: j.StateTimestamp,
			StateChangeLocked: j.Locked, StateChangeLockedTimestamp: j.LockedAt,
		}
	}
	for id, j := range r.Owners {
		state, ok := partition.ParseOwnerState(j.State)
		if !ok {
			return nil, fmt.Errorf("owner %q: unreadable state %q", id, j.State)
		}
		d.Owners[id] = partition.Owner{OwnedPartition: j.Owned, State: state, UpdatedTimestamp: j.UpdatedAt}
	}
	return d, nil
}

// samePartitionRing compares a decoded partition ring with what a vector says.
func samePartitionRing(want partitionRingJSON, got *partition.Desc) error {
	w, err := want.desc()
	if err != nil {
		return err
	}
	if got == nil {
		return fmt.Errorf("no partition ring, want %q", w.EntryNames())
	}
	if wn, gn := w.EntryNames(), got.EntryNames(); !slices.Equal(wn, gn) {
		return fmt.Errorf("entries %q, want %q", gn, wn)
	}
	for id, g := range got.Partitions {
		j := want.Partitions[strconv.Itoa(int(id))]
		if len(g.Tokens) != j.NumTokens || !j.TokensOmitted && !slices.Equal(g.Tokens, j.Tokens) {
			return fmt.Errorf("partition %d: tokens %v, want %d: %v", id, g.Tokens, j.NumTokens, j.Tokens)
		}
		e := w.Partitions[id]
		g.Tokens, e.Tokens, g.Unknown = nil, nil, nil
		if gs, es := fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", e); gs != es {
			return fmt.Errorf("partition %d: %s, want %s", id, gs, es)
		}
	}
	for id, g := range got.Owners {
		g.Unknown = nil
		if gs, es := fmt.Sprintf("%+v", g), fmt.Sprintf("%+v", w.Owners[id]); gs != es {
			return fmt.Errorf("owner %q: %s, want %s", id, gs, es)
		}
	}
	return nil
}
