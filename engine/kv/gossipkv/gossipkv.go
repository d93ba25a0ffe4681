// Package gossipkv is the key-value store over gossip: each node has all values, merges what it hears, and tells the
// others what it changed.
//
// Start with [Codecs], which teaches a gossip cluster the two ring values, and [New], which puts the store interface in
// front of it. A compare-and-swap here is local: it always succeeds at once, and two nodes that change the same entry
// within one second of the clock disagree until the next change, because the timestamps of entries are whole seconds.
package gossipkv

import (
	"context"
	"errors"
	"fmt"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// Codecs returns the codecs of the values that the rings need.
func Codecs() []gossip.Codec { return []gossip.Codec{RingCodec{}, PartitionCodec{}} }

// Store is a kv.Store over a gossip cluster for values of one codec.
type Store struct {
	cluster *gossip.Cluster
	codec   gossip.Codec
}

var (
	_ kv.Store  = (*Store)(nil)
	_ kv.Values = (*Store)(nil)
)

// New returns a store whose new keys get values of codec. The cluster must know the codec.
func New(c *gossip.Cluster, codec gossip.Codec) *Store { return &Store{cluster: c, codec: codec} }

// wrapper is a gossip value around a plain one.
type wrapper interface{ Unwrap() any }

// Get implements kv.Store.
func (s *Store) Get(_ context.Context, key string) ([]byte, error) {
	v := s.cluster.Get(key)
	if v == nil {
		return nil, nil
	}
	return v.Encode(), nil
}

// GetValue implements kv.Values.
func (s *Store) GetValue(_ context.Context, key string) (any, error) {
	return unwrap(s.cluster.Get(key)), nil
}

func unwrap(v gossip.Value) any {
	if w, ok := v.(wrapper); ok {
		return w.Unwrap()
	}
	return nil
}

// wrap makes a gossip value of a plain one, or returns nil when there is none for it.
func wrap(v any) gossip.Value {
	switch v := v.(type) {
	case *ring.Desc:
		return Ring{v}
	case *partition.Desc:
		return PartitionRing{v}
	}
	return nil
}

// CAS implements kv.Store.
func (s *Store) CAS(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) error {
	return s.cas(ctx, key, func(v gossip.Value) (gossip.Value, bool, error) {
		var in []byte
		if v != nil {
			in = v.Encode()
		}
		out, retry, err := f(in)
		if err != nil || out == nil {
			return nil, retry, err
		}
		value, err := s.codec.Decode(out)
		if err != nil {
			return nil, false, fmt.Errorf("key %s: %w", key, err)
		}
		return value, retry, nil
	})
}

// CASValue implements kv.Values.
func (s *Store) CASValue(ctx context.Context, key string, f func(in any) (out any, retry bool, err error)) error {
	return s.cas(ctx, key, func(v gossip.Value) (gossip.Value, bool, error) {
		out, retry, err := f(unwrap(v))
		if err != nil || out == nil {
			return nil, retry, err
		}
		value := wrap(out)
		if value == nil {
			return nil, false, fmt.Errorf("key %s: cannot gossip a %T", key, out)
		}
		return value, retry, nil
	})
}

func (s *Store) cas(ctx context.Context, key string, f func(in gossip.Value) (gossip.Value, bool, error)) error {
	err := s.cluster.CAS(ctx, key, s.codec.ID(), f)
	if errors.Is(err, gossip.ErrNoChange) {
		return fmt.Errorf("%w: %w", kv.ErrNoChange, err)
	}
	return err
}

// Watch implements kv.Store.
func (s *Store) Watch(ctx context.Context, key string, f func(value []byte) bool) {
	s.cluster.Watch(ctx, key, func(v gossip.Value) bool { return f(v.Encode()) })
}

// WatchValue implements kv.Values.
func (s *Store) WatchValue(ctx context.Context, key string, f func(v any) bool) {
	s.cluster.Watch(ctx, key, func(v gossip.Value) bool { return f(unwrap(v)) })
}

// List implements kv.Store.
func (s *Store) List(_ context.Context, prefix string) ([]string, error) {
	return s.cluster.Keys(prefix), nil
}
