package history

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

const ownerPrefix = "owner/"

func nodesOf(nodes []gossip.Node) []node {
	out := make([]node, len(nodes))
	for i, n := range nodes {
		out[i] = node{Name: n.Name, Addr: n.Addr, State: uint8(n.State), Zone: n.Meta.Zone, Role: uint8(n.Meta.Role)}
	}
	slices.SortFunc(out, func(a, b node) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func sameNodes(a, b []node) bool { return slices.Equal(a, b) }

// ringPart fills in what differs between two rings.
func ringPart(k *key, old, now *ring.Desc) {
	part := ring.NewDesc()
	for id, i := range now.Instances {
		before, ok := old.Instances[id]
		if !ok {
			part.Instances[id] = i
			continue
		}
		beat := i.Timestamp
		before.Timestamp = beat
		if !sameInstance(id, before, i) {
			part.Instances[id] = i
		} else if old.Instances[id].Timestamp != beat {
			if k.Beats == nil {
				k.Beats = map[string]int64{}
			}
			k.Beats[id] = beat
		}
	}
	for id := range old.Instances {
		if _, ok := now.Instances[id]; !ok {
			k.Gone = append(k.Gone, id)
		}
	}
	slices.Sort(k.Gone)
	if len(part.Instances) > 0 {
		k.Value = ring.EncodeValue(part)
	}
}

func sameInstance(id string, a, b ring.Instance) bool {
	one := func(i ring.Instance) []byte {
		return ring.EncodeValue(&ring.Desc{Instances: map[string]ring.Instance{id: i}})
	}
	return a.State == b.State && a.Addr == b.Addr && a.Zone == b.Zone && slices.Equal(a.Tokens, b.Tokens) && bytes.Equal(one(a), one(b))
}

// partitionPart fills in what differs between two partition rings.
func partitionPart(k *key, old, now *partition.Desc) {
	part := partition.NewDesc()
	for id, p := range now.Partitions {
		before, ok := old.Partitions[id]
		if !ok || !bytes.Equal(onePartition(id, before), onePartition(id, p)) {
			part.Partitions[id] = p
		}
	}
	for id, o := range now.Owners {
		before, ok := old.Owners[id]
		if !ok || !bytes.Equal(oneOwner(id, before), oneOwner(id, o)) {
			part.Owners[id] = o
		}
	}
	for id := range old.Partitions {
		if _, ok := now.Partitions[id]; !ok {
			k.Gone = append(k.Gone, strconv.Itoa(int(id)))
		}
	}
	for id := range old.Owners {
		if _, ok := now.Owners[id]; !ok {
			k.Gone = append(k.Gone, ownerPrefix+id)
		}
	}
	slices.Sort(k.Gone)
	if len(part.Partitions)+len(part.Owners) > 0 {
		k.Value = partition.EncodeValue(part)
	}
}

func onePartition(id int32, p partition.Partition) []byte {
	return partition.EncodeValue(&partition.Desc{Partitions: map[int32]partition.Partition{id: p}})
}

func oneOwner(id string, o partition.Owner) []byte {
	return partition.EncodeValue(&partition.Desc{Owners: map[string]partition.Owner{id: o}})
}
