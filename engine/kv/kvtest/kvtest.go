// Package kvtest checks that a key-value store does what [kv.Store] promises. Every implementation runs the same suite:
// call [Run] from its test.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/ring"
)

// patience is how long anything may take before a test gives up.
const patience = time.Minute

// Run runs the suite. open returns an empty store; keys are the suite's own (below "collectors/kvtest/" and the name of
// the test), values are rings, and entries carry the current time.
func Run(t *testing.T, open func(t *testing.T) kv.Store) {
	tests := map[string]func(*testing.T, suite){
		"missing key":          missingKey,
		"create and replace":   createAndReplace,
		"no change":            noChange,
		"errors of the caller": callerErrors,
		"contention":           contention,
		"watch":                watch,
		"watch before create":  watchBeforeCreate,
		"watch ends":           watchEnds,
		"list":                 list,
		"values are copies":    copies,
		"cancelled":            cancelled,
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			f(t, suite{ctx: ctx, store: s, rings: kv.For(s, Codec()), key: kv.Prefix + "kvtest/" + slug(name)})
		})
	}
}

// Codec is the codec of the suite's values.
func Codec() kv.Codec[*ring.Desc] {
	return kv.Codec[*ring.Desc]{ID: ring.Codec, Encode: ring.EncodeValue, Decode: ring.DecodeValue}
}

func slug(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c == ' ' {
			b[i] = '-'
		}
	}
	return fmt.Sprintf("%s-%d", b, time.Now().UnixNano())
}

type suite struct {
	ctx   context.Context
	store kv.Store
	rings *kv.Typed[*ring.Desc]
	key   string
}

// add puts an instance into the ring under the suite's key.
func (s suite) add(t *testing.T, id string) {
	t.Helper()
	err := s.rings.CAS(s.ctx, s.key, func(in *ring.Desc) (*ring.Desc, bool, error) {
		if in == nil {
			in = ring.NewDesc()
		}
		base := 10 * crc32.ChecksumIEEE([]byte(id)) // tokens of its own: shared ones would be taken away in a merge
		in.Instances[id] = ring.Instance{ID: id, Addr: id + ":1", Timestamp: time.Now().Unix(), Tokens: []uint32{base, base + 1}}
		return in, true, nil
	})
	if err != nil {
		t.Fatalf("add %s: %v", id, err)
	}
}

func (s suite) ids(t *testing.T) []string {
	t.Helper()
	d, err := s.rings.Get(s.ctx, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return ids(d)
}

func ids(d *ring.Desc) []string {
	if d == nil {
		return nil
	}
	return d.EntryNames()
}

func missingKey(t *testing.T, s suite) {
	b, err := s.store.Get(s.ctx, s.key)
	if b != nil || err != nil {
		t.Errorf("got %x, %v; want nil, nil", b, err)
	}
	called := 0
	err = s.store.CAS(s.ctx, s.key, func(in []byte) ([]byte, bool, error) {
		called++
		if in != nil {
			t.Errorf("in is %x, want nil", in)
		}
		return nil, true, nil
	})
	if err != nil || called != 1 {
		t.Errorf("CAS without a change: %v, called %d times", err, called)
	}
	if b, _ := s.store.Get(s.ctx, s.key); b != nil {
		t.Errorf("the key exists now: %x", b)
	}
}

func createAndReplace(t *testing.T, s suite) {
	s.add(t, "a")
	s.add(t, "b")
	if got := s.ids(t); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("instances %q", got)
	}
	err := s.rings.CAS(s.ctx, s.key, func(in *ring.Desc) (*ring.Desc, bool, error) {
		delete(in.Instances, "a")
		return in, true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ids(t); !slices.Equal(got, []string{"b"}) {
		t.Errorf("instances after removing a: %q", got)
	}
	b, err := s.store.Get(s.ctx, s.key)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ring.DecodeValue(b)
	if err != nil {
		t.Fatalf("the bytes are no encoded ring: %v", err)
	}
	if d.Instances["b"].Addr != "b:1" || len(d.Instances["b"].Tokens) != 2 {
		t.Errorf("b is %+v", d.Instances["b"])
	}
}

func noChange(t *testing.T, s suite) {
	s.add(t, "a")
	err := s.rings.CAS(s.ctx, s.key, func(*ring.Desc) (*ring.Desc, bool, error) { return nil, true, nil })
	if err != nil {
		t.Error(err)
	}
	if got := s.ids(t); !slices.Equal(got, []string{"a"}) {
		t.Errorf("instances %q", got)
	}
}

func callerErrors(t *testing.T, s suite) {
	boom := errors.New("boom")
	calls := 0
	err := s.store.CAS(s.ctx, s.key, func([]byte) ([]byte, bool, error) {
		calls++
		return nil, false, boom
	})
	if !errors.Is(err, boom) || calls != 1 {
		t.Errorf("error without retry: %v after %d calls", err, calls)
	}
	calls = 0
	err = s.rings.CAS(s.ctx, s.key, func(in *ring.Desc) (*ring.Desc, bool, error) {
		if calls++; calls < 3 {
			return nil, true, boom
		}
		return nil, false, nil
	})
	if err != nil || calls != 3 {
		t.Errorf("error with retry: %v after %d calls, want nil after 3", err, calls)
	}
}

// contention lets writers loose on one key: none of their entries may be lost.
func contention(t *testing.T, s suite) {
	const writers = 6
	var wg sync.WaitGroup
	var want []string
	for i := range writers {
		id := fmt.Sprintf("i%d", i)
		want = append(want, id)
		wg.Go(func() { s.add(t, id) })
	}
	wg.Wait()
	if got := s.ids(t); !slices.Equal(got, want) {
		t.Errorf("instances %q, want %q", got, want)
	}
}

// watching runs a watch and hands its values over.
func (s suite) watching(t *testing.T) (values <-chan []string) {
	ctx, cancel := context.WithCancel(s.ctx)
	ch := make(chan []string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.rings.Watch(ctx, s.key, func(d *ring.Desc) bool {
			ch <- ids(d)
			return true
		}, func(err error) { t.Errorf("watch: %v", err) })
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("watch did not end with its context")
		}
	})
	return ch
}

// seen waits until a watch has shown what is wanted.
func seen(t *testing.T, values <-chan []string, want ...string) {
	t.Helper()
	var last []string
	for timeout := time.After(patience); ; {
		select {
		case last = <-values:
			if slices.Equal(last, want) {
				return
			}
		case <-timeout:
			t.Fatalf("watch showed %q, want %q", last, want)
		}
	}
}

func watch(t *testing.T, s suite) {
	s.add(t, "a")
	values := s.watching(t)
	seen(t, values, "a")
	s.add(t, "b")
	seen(t, values, "a", "b")
	for i := range 5 {
		s.add(t, fmt.Sprintf("c%d", i))
	}
	seen(t, values, "a", "b", "c0", "c1", "c2", "c3", "c4")
}

func watchBeforeCreate(t *testing.T, s suite) {
	values := s.watching(t)
	s.add(t, "a")
	seen(t, values, "a")
}

func watchEnds(t *testing.T, s suite) {
	s.add(t, "a")
	calls := 0
	s.store.Watch(s.ctx, s.key, func(b []byte) bool {
		calls++
		return false
	})
	if calls != 1 || s.ctx.Err() != nil {
		t.Errorf("watch ended after %d calls, context %v", calls, s.ctx.Err())
	}
}

func list(t *testing.T, s suite) {
	base := s.key
	for _, name := range []string{"/2", "/1"} {
		s.key = base + name
		s.add(t, "a")
	}
	got, err := s.store.List(s.ctx, base)
	if err != nil || !slices.Equal(got, []string{base + "/1", base + "/2"}) {
		t.Errorf("list %q, %v", got, err)
	}
	if got, err := s.store.List(s.ctx, base+"/none"); err != nil || len(got) != 0 {
		t.Errorf("list of nothing: %q, %v", got, err)
	}
}

func copies(t *testing.T, s suite) {
	s.add(t, "a")
	b, err := s.store.Get(s.ctx, s.key)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	d, err := s.rings.Get(s.ctx, s.key)
	if err != nil {
		t.Fatal(err)
	}
	delete(d.Instances, "a")
	if got := s.ids(t); !slices.Equal(got, []string{"a"}) {
		t.Errorf("changing what Get returned changed the store: %q", got)
	}
}

func cancelled(t *testing.T, s suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	s.store.Watch(ctx, s.key, func([]byte) bool { return true }) // must return
	err := s.store.CAS(ctx, s.key, func([]byte) ([]byte, bool, error) { return nil, true, errors.New("again") })
	if err == nil {
		t.Error("CAS under an ended context that never succeeds returned nil")
	}
}
