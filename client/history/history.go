// Package history keeps what a cluster looked like: an append-only file with one JSON line per snapshot, which holds only
// what changed since the line before.
//
// Start with [NewWriter] and [Read]. Heartbeats, which change all the time, take a few bytes each; tokens are written once.
// A file that was cut short is read up to the last whole line. The format is described in docs/formats/history.md.
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Format is the name and version in the first line of a file.
const Format = "ringctl-history/1"

// MaxLine bounds one line; a longer one is damage.
const MaxLine = 128 << 20

// ErrFormat means that a file is no history, or of a version that is not known.
var ErrFormat = errors.New("not a ringctl history")

// header is the first line of each recording; a file may hold several, one after the other.
type header struct {
	Format string    `json:"format"`
	At     time.Time `json:"at"`
}

// line is one snapshot as the difference to the one before.
type line struct {
	At    time.Time   `json:"at"`
	From  string      `json:"from"`
	Mode  client.Mode `json:"mode"`
	Label string      `json:"label,omitempty"`
	// Nodes are all members, when any of them changed.
	Nodes []node `json:"nodes,omitempty"`
	Keys  []key  `json:"keys,omitempty"`
	// Dropped are keys that are gone.
	Dropped []string `json:"dropped,omitempty"`
}

type node struct {
	Name  string `json:"name"`
	Addr  string `json:"addr"`
	State uint8  `json:"state"`
	Zone  string `json:"zone,omitempty"`
	Role  uint8  `json:"role,omitempty"`
}

// key is what changed under one key.
type key struct {
	Key     string `json:"key"`
	Codec   string `json:"codec"`
	Deleted bool   `json:"deleted,omitempty"`
	// Value is the whole value, or with Part only the entries that are new or differ in more than their heartbeat.
	Value []byte `json:"value,omitempty"`
	Part  bool   `json:"part,omitempty"`
	// Gone are entries that are no more. Owners of partitions have the prefix "owner/".
	Gone []string `json:"gone,omitempty"`
	// Beats are entries of which only the heartbeat changed, in Unix seconds.
	Beats map[string]int64 `json:"beats,omitempty"`
}

// Writer appends snapshots. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	state state
	begun bool
}

// NewWriter returns a writer that starts a new recording with its first snapshot. Each line is one call of w.Write.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, state: newState()} }

// Add writes a snapshot. One that differs in nothing but its time is written too, as a short line: the cluster was seen
// at that time, and it was the same.
func (w *Writer) Add(s *client.Snapshot) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	if !w.begun {
		if err := enc.Encode(header{Format: Format, At: s.At.UTC()}); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		w.begun = true
	}
	l, err := w.state.difference(s.View())
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	l.At, l.From, l.Mode, l.Label = s.At.UTC(), s.From, s.Mode, s.Label
	if err := enc.Encode(l); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if _, err := w.w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// state is the last snapshot, decoded.
type state struct {
	nodes      []node
	rings      map[string]*ring.Desc
	partitions map[string]*partition.Desc
	opaque     map[string]gossip.Pair
	meta       map[string]gossip.Pair // key -> pair without value
}

func newState() state {
	return state{rings: map[string]*ring.Desc{}, partitions: map[string]*partition.Desc{}, opaque: map[string]gossip.Pair{}, meta: map[string]gossip.Pair{}}
}

// difference takes a view in and returns what changed.
func (s *state) difference(v *gossip.View) (*line, error) {
	l := &line{}
	nodes := nodesOf(v.Nodes)
	if !sameNodes(nodes, s.nodes) {
		l.Nodes, s.nodes = nodes, nodes
	}
	seen := map[string]bool{}
	for _, p := range v.Pairs {
		seen[p.Key] = true
		k, err := s.changed(p)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", p.Key, err)
		}
		if k != nil {
			l.Keys = append(l.Keys, *k)
		}
	}
	for name := range s.meta {
		if !seen[name] {
			l.Dropped = append(l.Dropped, name)
			s.drop(name)
		}
	}
	return l, nil
}

func (s *state) drop(name string) {
	delete(s.rings, name)
	delete(s.partitions, name)
	delete(s.opaque, name)
	delete(s.meta, name)
}

// changed notes a pair and returns what is new in it; nil when nothing is. A value that cannot be decoded is kept as it is.
func (s *state) changed(p gossip.Pair) (*key, error) {
	before, known := s.meta[p.Key]
	s.meta[p.Key] = gossip.Pair{Key: p.Key, Codec: p.Codec, Deleted: p.Deleted}
	k := &key{Key: p.Key, Codec: p.Codec, Deleted: p.Deleted}
	known = known && before.Codec == p.Codec
	moved := !known || before.Deleted != p.Deleted
	switch p.Codec {
	case ring.Codec:
		d, err := ring.DecodeValue(p.Value)
		if err != nil {
			break
		}
		old := s.rings[p.Key]
		s.rings[p.Key] = d
		if !known || old == nil {
			k.Value = p.Value
			return k, nil
		}
		ringPart(k, old, d)
		return k.orNil(moved), nil
	case partition.Codec:
		d, err := partition.DecodeValue(p.Value)
		if err != nil {
			break
		}
		old := s.partitions[p.Key]
		s.partitions[p.Key] = d
		if !known || old == nil {
			k.Value = p.Value
			return k, nil
		}
		partitionPart(k, old, d)
		return k.orNil(moved), nil
	}
	delete(s.rings, p.Key)
	delete(s.partitions, p.Key)
	if old, ok := s.opaque[p.Key]; ok && !moved && bytes.Equal(old.Value, p.Value) {
		return nil, nil
	}
	s.opaque[p.Key], k.Value = p, p.Value
	return k, nil
}

func (k *key) orNil(moved bool) *key {
	if !moved && k.Value == nil && k.Gone == nil && k.Beats == nil {
		return nil
	}
	k.Part = true
	return k
}
