package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Read yields the snapshots of a file, oldest first, built with the options (time and mode are those of the recording).
// The first error ends the sequence; a last line that was cut short is no error.
func Read(r io.Reader, o client.Options) iter.Seq2[*client.Snapshot, error] {
	return func(yield func(*client.Snapshot, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(make([]byte, 64<<10), MaxLine)
		in.Split(wholeLines)
		s := newState()
		begun := false
		for n := 1; in.Scan(); n++ {
			raw := in.Bytes()
			var h header
			if err := json.Unmarshal(raw, &h); err != nil {
				yield(nil, fmt.Errorf("line %d: %w: %w", n, ErrFormat, err))
				return
			}
			if h.Format != "" {
				if h.Format != Format {
					yield(nil, fmt.Errorf("line %d: %w: %q, want %q", n, ErrFormat, h.Format, Format))
					return
				}
				s, begun = newState(), true
				continue
			}
			if !begun {
				yield(nil, fmt.Errorf("line %d: %w: the first line names no format", n, ErrFormat))
				return
			}
			snap, err := s.next(raw, o)
			if err != nil {
				yield(nil, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(snap, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield(nil, fmt.Errorf("read history: %w", err))
		}
	}
}

// wholeLines is bufio.ScanLines without a last line that has no end.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	advance, token, err = bufio.ScanLines(data, false)
	if advance == 0 && token == nil && atEOF && len(data) > 0 {
		return len(data), nil, nil
	}
	return advance, token, err
}

func (s *state) next(raw []byte, o client.Options) (*client.Snapshot, error) {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if l.Nodes != nil {
		s.nodes = l.Nodes
	}
	for _, k := range l.Keys {
		if err := s.apply(k); err != nil {
			return nil, fmt.Errorf("key %s: %w", k.Key, err)
		}
	}
	for _, name := range l.Dropped {
		s.drop(name)
	}
	o.Now, o.Label, o.Mode = l.At, l.Label, client.Recorded
	snap := client.Build(s.view(l.From), o)
	snap.From = l.From
	return snap, nil
}

func (s *state) view(from string) *gossip.View {
	v := &gossip.View{From: from}
	for _, n := range s.nodes {
		v.Nodes = append(v.Nodes, gossip.Node{Name: n.Name, Addr: n.Addr, State: gossip.NodeState(n.State), Meta: gossip.Meta{Zone: n.Zone, Role: gossip.Role(n.Role)}})
	}
	for _, name := range slices.Sorted(maps.Keys(s.meta)) {
		p := s.meta[name]
		switch {
		case s.rings[name] != nil:
			p.Value = ring.EncodeValue(s.rings[name])
		case s.partitions[name] != nil:
			p.Value = partition.EncodeValue(s.partitions[name])
		default:
			p.Value = s.opaque[name].Value
		}
		v.Pairs = append(v.Pairs, p)
	}
	return v
}

var errNoBase = errors.New("a part of a value without the whole before it")

func (s *state) apply(k key) error {
	if !k.Part {
		s.drop(k.Key)
		_, err := s.changed(gossip.Pair{Key: k.Key, Codec: k.Codec, Value: k.Value, Deleted: k.Deleted})
		return err
	}
	s.meta[k.Key] = gossip.Pair{Key: k.Key, Codec: k.Codec, Deleted: k.Deleted}
	switch {
	case k.Codec == ring.Codec && s.rings[k.Key] != nil:
		return applyRing(s.rings[k.Key], k)
	case k.Codec == partition.Codec && s.partitions[k.Key] != nil:
		return applyPartitions(s.partitions[k.Key], k)
	}
	return errNoBase
}

func applyRing(d *ring.Desc, k key) error {
	if len(k.Value) > 0 {
		part, err := ring.DecodeValue(k.Value)
		if err != nil {
			return err
		}
		maps.Copy(d.Instances, part.Instances)
	}
	for id, beat := range k.Beats {
		if i, ok := d.Instances[id]; ok {
			i.Timestamp = beat
			d.Instances[id] = i
		}
	}
	for _, id := range k.Gone {
		delete(d.Instances, id)
	}
	return nil
}

func applyPartitions(d *partition.Desc, k key) error {
	if len(k.Value) > 0 {
		part, err := partition.DecodeValue(k.Value)
		if err != nil {
			return err
		}
		maps.Copy(d.Partitions, part.Partitions)
		maps.Copy(d.Owners, part.Owners)
	}
	for _, id := range k.Gone {
		if owner, ok := strings.CutPrefix(id, ownerPrefix); ok {
			delete(d.Owners, owner)
			continue
		}
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			return fmt.Errorf("gone partition %q: %w", id, err)
		}
		delete(d.Partitions, int32(n))
	}
	return nil
}
