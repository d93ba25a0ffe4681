package memkv_test

import (
	"testing"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/kvtest"
	"github.com/ringctl/ringctl/engine/kv/memkv"
)

func TestStore(t *testing.T) {
	kvtest.Run(t, func(*testing.T) kv.Store { return memkv.New() })
}

// A writer that loses against others again and again is not refused.
func TestManyWriters(t *testing.T) {
	s, lost := memkv.New(), 0
	write := func(value string) error {
		return s.CAS(t.Context(), "k", func([]byte) ([]byte, bool, error) { return []byte(value), true, nil })
	}
	err := s.CAS(t.Context(), "k", func([]byte) ([]byte, bool, error) {
		if lost < 5*kv.MaxTries {
			lost++
			if err := write("another"); err != nil {
				t.Fatal(err)
			}
		}
		return []byte("mine"), true, nil
	})
	if b, getErr := s.Get(t.Context(), "k"); err != nil || getErr != nil || string(b) != "mine" {
		t.Errorf("%q, %v, %v", b, err, getErr)
	}
}
