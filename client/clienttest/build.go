package clienttest

import (
	"fmt"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Ring makes an instance ring of n members, name-0 to name-(n-1), all ACTIVE with a heartbeat of now. Zones are
// dealt round robin. Tokens are evenly spread, so that every share is the same.
func Ring(name string, n, tokens int, now time.Time, zones ...string) *ring.Desc {
	d := ring.NewDesc()
	step := uint64(1<<32) / uint64(max(1, n*tokens))
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		inst := ring.Instance{ID: id, Addr: fmt.Sprintf("10.0.0.%d:9095", i+1), State: ring.Active,
			Timestamp: now.Unix(), RegisteredTimestamp: now.Add(-24 * time.Hour).Unix()}
		if len(zones) > 0 {
			inst.Zone = zones[i%len(zones)]
		}
		for t := range tokens {
			inst.Tokens = append(inst.Tokens, uint32(uint64(t*n+i)*step))
		}
		d.Instances[id] = inst
	}
	return d
}

// Edit changes one instance of a ring in place and returns the ring.
func Edit(d *ring.Desc, id string, f func(*ring.Instance)) *ring.Desc {
	i := d.Instances[id]
	f(&i)
	d.Instances[id] = i
	return d
}

// Aged returns a heartbeat of some time ago, for Edit.
func Aged(now time.Time, age time.Duration) func(*ring.Instance) {
	return func(i *ring.Instance) { i.Timestamp = now.Add(-age).Unix() }
}

// Partitions makes a partition ring of n ACTIVE partitions since an hour ago, partition p owned by owners[p].
func Partitions(n int, now time.Time, owners ...[]string) (*partition.Desc, error) {
	d := partition.NewDesc()
	since := now.Add(-time.Hour)
	for p := range n {
		if _, err := partition.AddPartition(d, int32(p), partition.Active, since); err != nil {
			return nil, err
		}
		if p < len(owners) {
			for _, o := range owners[p] {
				partition.AddOwner(d, o, int32(p), partition.OwnerActive, since)
			}
		}
	}
	return d, nil
}
