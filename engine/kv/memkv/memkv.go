// Package memkv is a key-value store in the memory of one process: for a single node, for many nodes in one process, and
// for tests. Start with [New].
package memkv

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ringctl/ringctl/engine/kv"
)

// Store keeps values in memory. It is safe for concurrent use.
type Store struct {
	mu      sync.Mutex
	values  map[string]versioned
	changed chan struct{} // closed and replaced on every change
}

type versioned struct {
	bytes   []byte
	version uint64
}

var _ kv.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{values: map[string]versioned{}, changed: make(chan struct{})}
}

// Get implements kv.Store.
func (s *Store) Get(_ context.Context, key string) ([]byte, error) {
	v, _ := s.get(key)
	return bytes.Clone(v.bytes), nil
}

func (s *Store) get(key string) (versioned, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key], s.changed
}

// CAS implements kv.Store. Losing against another writer is no try: each time somebody got on, and there is no network
// that would be spared.
func (s *Store) CAS(ctx context.Context, key string, f func(in []byte) (out []byte, retry bool, err error)) error {
	var last error
	for failed := 0; failed < kv.MaxTries; {
		if err := ctx.Err(); err != nil {
			return err
		}
		cur, _ := s.get(key)
		out, retry, err := f(bytes.Clone(cur.bytes))
		switch {
		case err == nil && out == nil:
			return nil
		case err == nil && s.put(key, cur.version, out):
			return nil
		case err == nil:
		case retry:
			failed, last = failed+1, err
		default:
			return err
		}
	}
	return fmt.Errorf("memkv: compare-and-swap %s: %w", key, last)
}

// put stores a value if the version is still the current one.
func (s *Store) put(key string, version uint64, value []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key].version != version {
		return false
	}
	s.values[key] = versioned{bytes.Clone(value), version + 1}
	close(s.changed)
	s.changed = make(chan struct{})
	return true
}

// Watch implements kv.Store.
func (s *Store) Watch(ctx context.Context, key string, f func(value []byte) bool) {
	for seen := uint64(0); ; {
		cur, changed := s.get(key)
		if cur.version != seen {
			seen = cur.version
			if !f(bytes.Clone(cur.bytes)) {
				return
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// List implements kv.Store.
func (s *Store) List(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for k := range s.values {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
