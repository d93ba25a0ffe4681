package ring

import (
	"maps"
	"slices"
	"time"
)

// Desc is the ring as nodes exchange it: a map from instance id to instance.
// It is a plain value without locks; the slices inside its instances are shared
// between copies and must be replaced, never written to.
type Desc struct {
	Instances map[string]Instance
	// Unknown holds top-level protobuf fields this version does not know.
	Unknown []byte
}

// NewDesc gives an empty ring.
func NewDesc() *Desc { return &Desc{Instances: map[string]Instance{}} }

// Clone copies the ring; changing the copy's map does not change d.
func (d *Desc) Clone() *Desc {
	out := &Desc{Instances: maps.Clone(d.Instances), Unknown: slices.Clip(d.Unknown)}
	if out.Instances == nil {
		out.Instances = map[string]Instance{}
	}
	return out
}

// EntryNames lists the instance ids, sorted.
func (d *Desc) EntryNames() []string {
	return slices.Sorted(maps.Keys(d.Instances))
}

// RemoveTombstones deletes the LEFT entries with a heartbeat before limit, or
// all of them when limit is the zero time. It returns how many tombstones are
// left and how many were removed.
func (d *Desc) RemoveTombstones(limit time.Time) (total, removed int) {
	for id, i := range d.Instances {
		if i.State != Left {
			continue
		}
		if limit.IsZero() || time.Unix(i.Timestamp, 0).Before(limit) {
			delete(d.Instances, id)
			removed++
		} else {
			total++
		}
	}
	return total, removed
}
