// Package kv is the small store the rings live in: get, compare-and-swap, watch.
//
// Start with [Store], the interface, and [Typed], which puts a codec in front of it. The implementations are one
// package each: memkv keeps values in memory, gossipkv merges them between nodes, consulkv and etcdkv keep them in a
// server. All four pass the acceptance suite in kvtest, whose sentences are those written at [Store].
//
// Values are the bytes of a codec (a snappy block of a protobuf for the rings), under the same keys that the dskit
// family uses, so one store can serve processes of both kinds. What the values mean is not known here.
package kv

import (
	"context"
	"errors"
	"fmt"
)

// Store keeps values under keys. Implementations are safe for concurrent use.
type Store interface {
	// Get returns the current value, or nil when there is none. The caller owns the slice. Entries that are only
	// tombstones are not in it.
	Get(ctx context.Context, key string) (value []byte, err error)
	// CAS replaces the value with what f makes of it. f gets nil when there is none, must not keep or change in, and
	// returns nil for "no change", which ends the call without an error. When another writer was faster, f is called
	// again with the newer value, up to a limit. With an error from f, retry says whether to try again; the last error
	// of f is returned. When CAS returns nil after f returned a value, that value (or for merging stores, what it
	// changes) is stored.
	CAS(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) error
	// Watch calls f with the current value, if there is one, and then after changes; several quick changes may arrive
	// as one. f is never called twice at the same time. Watch returns when f returns false or ctx ends.
	Watch(ctx context.Context, key string, f func(value []byte) bool)
	// List returns the keys with the prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
}

// Prefix is put in front of ring names to make keys, as the dskit family does by default.
const Prefix = "collectors/"

// ErrConflict reports a compare-and-swap that lost against other writers every time.
var ErrConflict = errors.New("other writers were faster every time")

// ErrNoChange reports an update that a merging store could not tell from what it has, typically a second update of the
// same entry within one second.
var ErrNoChange = errors.New("no change detected")

// MaxTries is how often a compare-and-swap is tried.
const MaxTries = 10

// Codec encodes and decodes values of one kind.
type Codec[T any] struct {
	ID     string // name on the wire
	Encode func(T) []byte
	Decode func([]byte) (T, error)
}

// Typed is a Store of decoded values. T is a pointer type; its zero value means "none".
type Typed[T comparable] struct {
	store Store
	codec Codec[T]
}

// For puts a codec in front of a store.
func For[T comparable](s Store, c Codec[T]) *Typed[T] { return &Typed[T]{store: s, codec: c} }

// Values is implemented by stores that hold decoded values and can hand them out without encoding. Typed uses it.
type Values interface {
	// GetValue is Get with a decoded value, nil when there is none. The value is the caller's.
	GetValue(ctx context.Context, key string) (any, error)
	// CASValue is CAS with decoded values; in is f's to change, and nil when there is none.
	CASValue(ctx context.Context, key string, f func(in any) (out any, retry bool, err error)) error
	// WatchValue is Watch with decoded values. The value is f's.
	WatchValue(ctx context.Context, key string, f func(v any) bool)
}

// Get returns the current value, or the zero T when there is none. The value is the caller's.
func (t *Typed[T]) Get(ctx context.Context, key string) (T, error) {
	var none T
	if vs, ok := t.store.(Values); ok {
		v, err := vs.GetValue(ctx, key)
		if err != nil {
			return none, err
		}
		return t.assert(key, v)
	}
	b, err := t.store.Get(ctx, key)
	if err != nil || b == nil {
		return none, err
	}
	return t.decode(key, b)
}

func (t *Typed[T]) assert(key string, v any) (T, error) {
	var none T
	if v == nil {
		return none, nil
	}
	out, ok := v.(T)
	if !ok {
		return none, fmt.Errorf("key %s: holds a %T, want %s", key, v, t.codec.ID)
	}
	return out, nil
}

func (t *Typed[T]) decode(key string, b []byte) (T, error) {
	v, err := t.codec.Decode(b)
	if err != nil {
		return v, fmt.Errorf("key %s: decode %s: %w", key, t.codec.ID, err)
	}
	return v, nil
}

// CAS is [Store.CAS] with decoded values: f gets the zero T when there is none, may change in and return it, and returns
// the zero T for "no change".
func (t *Typed[T]) CAS(ctx context.Context, key string, f func(in T) (out T, retry bool, err error)) error {
	if vs, ok := t.store.(Values); ok {
		return vs.CASValue(ctx, key, func(v any) (any, bool, error) {
			var none T
			in, err := t.assert(key, v)
			if err != nil {
				return nil, false, err
			}
			out, retry, err := f(in)
			if err != nil || out == none {
				return nil, retry, err
			}
			return out, retry, nil
		})
	}
	return t.store.CAS(ctx, key, func(b []byte) ([]byte, bool, error) {
		var in, none T
		if b != nil {
			var err error
			if in, err = t.decode(key, b); err != nil {
				return nil, false, err
			}
		}
		out, retry, err := f(in)
		if err != nil || out == none {
			return nil, retry, err
		}
		return t.codec.Encode(out), retry, nil
	})
}

// Watch is [Store.Watch] with decoded values. A value that cannot be decoded is passed to bad, which may be nil, and
// skipped.
func (t *Typed[T]) Watch(ctx context.Context, key string, f func(T) bool, bad func(error)) {
	if vs, ok := t.store.(Values); ok {
		vs.WatchValue(ctx, key, func(v any) bool {
			out, err := t.assert(key, v)
			return t.deliver(out, err, f, bad)
		})
		return
	}
	t.store.Watch(ctx, key, func(b []byte) bool {
		v, err := t.decode(key, b)
		return t.deliver(v, err, f, bad)
	})
}

func (t *Typed[T]) deliver(v T, err error, f func(T) bool, bad func(error)) bool {
	if err == nil {
		return f(v)
	}
	if bad != nil {
		bad(err)
	}
	return true
}

// List returns the keys with the prefix, sorted.
func (t *Typed[T]) List(ctx context.Context, prefix string) ([]string, error) {
	return t.store.List(ctx, prefix)
}
